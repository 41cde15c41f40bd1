# A backfill that ends before its time, that is watched, and that takes long.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('backfill');
$node->init;
$node->append_conf('postgresql.conf', "jit = off\nrestart_after_crash = on\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
my $picture = MediastoreTest::hex(jpeg());
my $progress = q{SELECT state, rows_total, rows_done, rows_changed, rows_failed, pid FROM mediastore.progress};

# Rows 1 .. n of a table of pictures; at one, the trigger waits for the lock 42.
sub create_photos
{
	my ($rows, $slow) = @_;
	$node->safe_psql(
		'postgres', qq{
		DROP TABLE IF EXISTS photo;
		CREATE TABLE photo (id int PRIMARY KEY, data bytea);
		INSERT INTO photo SELECT id, $picture FROM generate_series(1, $rows) AS id;
		SELECT media_attach('photo', 'data');
		CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END';
		CREATE TRIGGER wait BEFORE UPDATE ON photo FOR EACH ROW WHEN (NEW.id = $slow) EXECUTE FUNCTION wait();
	});
	return;
}

# How many are done.
sub compressed
{
	return $node->safe_psql('postgres', q{SELECT count(*) FROM photo WHERE media_format(data) = 'webp'});
}

# A session that works on a backfill, as far as the row that is waited for.
sub start_backfill
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = backend_pid($session);

	$session->query_until(qr/under way/, "\\echo under way\nCALL media_backfill('photo', 'data', 10);\n");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'")
	  or die 'the backfill does not wait';
	return ($session, $pid);
}

# what it says
{
	my ($stdout, $stderr);

	create_photos(25, 0);
	$node->safe_psql('postgres', q{ALTER TABLE photo DISABLE TRIGGER USER; INSERT INTO photo VALUES (0, 'no picture'); ALTER TABLE photo ENABLE TRIGGER USER});
	$node->psql('postgres', q{CALL media_backfill('photo', 'data', 10)}, stdout => \$stdout, stderr => \$stderr);
	my @notices = grep { /NOTICE/ } split /\n/, $stderr;
	my $size = qr/[\d.]+ \w+ -> [\d.]+ \w+/;
	is(@notices, 4, 'a NOTICE for each batch, and one for all');
	like($notices[0], qr/backfill of public\.photo\.data: 10 of 26 rows, [\d.]+ rows\/s, \d+ s left, $size, 0 failed$/, 'the first');
	like($notices[2], qr/backfill of public\.photo\.data: 26 of 26 rows, [\d.]+ rows\/s, 0 s left, $size, 1 failed$/, 'the last');
	like($notices[3], qr/backfill of public\.photo\.data: finished: 25 of 26 rows rewritten, $size, 1 failed, 0 locked, in [\d.]+ s$/,
		'the summary');
	like($stderr, qr/^DETAIL: +1 row failed: see mediastore\.failure\.$/m, 'what to do');
	unlike($stderr, qr/HINT/, 'and nothing more');
}

# cancelled, and watched from another session meanwhile
my $watcher = $node->background_psql('postgres');
create_photos(35, 25);
$watcher->query_safe('SELECT pg_advisory_lock(42)');
my ($session, $pid) = start_backfill();
is($node->safe_psql('postgres', $progress), "running|35|20|20|0|$pid", 'another session sees how far it is');
is($node->safe_psql('postgres', 'SELECT rows_per_second > 0 AND seconds_left > 0 FROM mediastore.progress'), 't', 'how fast, and how long to go');
is(compressed(), 20, 'what is done can be seen');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$session->query('SELECT 1');
like($session->{stderr}, qr/canceling statement due to user request/, 'it can be cancelled');
$session->{stderr} = '';
is($node->safe_psql('postgres', $progress), "interrupted|35|20|20|0|$pid", 'others see it');
is(compressed(), 20, 'batches that were finished stay');
is($session->query_safe(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()}), 0, 'no lock is left');

# again, in the same session; this time it ends hard
$session->query_until(qr/under way/, "\\echo under way\nCALL media_backfill('photo', 'data', 4);\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") or die;
is($node->safe_psql('postgres', "$progress ORDER BY run DESC LIMIT 1"), "running|15|4|4|0|$pid", 'it goes on where it was');
my $bystander = backend_pid($watcher);
kill 'KILL', $pid;
# the server ends all others before it lets anybody in again
ok(wait_gone($pid) && wait_gone($bystander), 'killed');
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
is(compressed(), 24, 'and after a crash, too');
is($node->safe_psql('postgres', "$progress ORDER BY run DESC LIMIT 1"), "interrupted|15|4|4|0|$pid", 'which others see');
eval { $session->{run}->kill_kill; };
eval { $watcher->{run}->kill_kill; };
$node->safe_psql('postgres', q{CALL media_backfill('photo', 'data', 4)});
is(compressed(), 35, 'the rest');
like($node->safe_psql('postgres', "$progress ORDER BY run DESC LIMIT 1"), qr/^finished\|11\|11\|11\|0\|/, 'was what was left');

# a table that is dropped meanwhile
$watcher = $node->background_psql('postgres');
$watcher->query_safe('SELECT pg_advisory_lock(42)');
create_photos(35, 12);
($session, $pid) = start_backfill();
my $dropper = $node->background_psql('postgres', on_error_stop => 0);
$dropper->query_until(qr/under way/, "\\echo under way\nDROP TABLE photo;\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted}) or die;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP%' AND wait_event_type = 'Lock'}), 1,
	'dropping the table waits for the batch');
$watcher->query_safe('SELECT pg_advisory_unlock(42)');
$dropper->quit;
$session->query('SELECT 1');
like($session->{stderr}, qr/ERROR: +table of public\.photo\.data has been dropped/, 'then it can be dropped, and the next batch says so');
$session->{stderr} = '';
is($session->query_safe('SELECT count(*) FROM mediastore.progress'), 0, 'a dropped table has no history');
is($session->query_safe(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'and no lock');

# the extension, replaced while this session remembers its tables
$session->query_safe(qq{SET client_min_messages = error; DROP EXTENSION mediastore CASCADE; CREATE EXTENSION mediastore;});
create_photos(15, 0);
$session->query_safe(q{CALL media_backfill('photo', 'data', 10)});
is(compressed(), 15, 'the extension made anew');
$session->quit;
$watcher->quit;

# two at once
create_photos(3000, 0);
$node->safe_psql(
	'postgres', q{
	CREATE TABLE change (id int, pid int);
	CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO change VALUES (NEW.id, pg_backend_pid()); RETURN NULL; END';
	CREATE TRIGGER note AFTER UPDATE ON photo FOR EACH ROW EXECUTE FUNCTION note_change();
});
{
	my @sessions = map { $node->background_psql('postgres') } 1, 2;
	$_->query_safe('SET client_min_messages = warning') foreach @sessions;
	$_->query_until(qr/under way/, "\\echo under way\nCALL media_backfill('photo', 'data', 20);\n") foreach @sessions;
	$_->query_safe('SELECT 1') foreach @sessions;
	$_->quit foreach @sessions;
}
is(compressed(), 3000, 'two sessions do all of it');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM change'), '3000|3000', 'each row once');
note('shares: ' . $node->safe_psql('postgres', q{SELECT string_agg(n::text, ', ') FROM (SELECT count(*) AS n FROM change GROUP BY pid) AS s}));

# memory stays (its own: pages of shared buffers are counted when touched)
create_photos(20000, 0);
$node->safe_psql('postgres', q{ALTER TABLE photo DISABLE TRIGGER USER; UPDATE photo SET data = 'no picture' WHERE id % 10 = 0; ALTER TABLE photo ENABLE TRIGGER USER});
$node->safe_psql('postgres', q{
	CREATE TABLE memory (id int, kilobytes int);
	CREATE FUNCTION note_memory() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO memory SELECT NEW.id, substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'RssAnon:\s*(\d+)')::int;
		RETURN NULL;
	END $$;
	CREATE TRIGGER memory AFTER UPDATE ON photo FOR EACH ROW WHEN (NEW.id % 1000 = 1) EXECUTE FUNCTION note_memory();
});
$node->safe_psql('postgres', q{SET client_min_messages = warning; CALL media_backfill('photo', 'data')});
is(compressed(), 18000, 'many rows');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.failure'), 2000, 'many bad ones');
my ($early, $late) = split /\|/,
  $node->safe_psql('postgres', 'SELECT (SELECT kilobytes FROM memory WHERE id = 4001), (SELECT kilobytes FROM memory WHERE id = 19001)');
note("$early kB, then $late kB");
cmp_ok($late - $early, '<=', 1024, 'take no more memory than few');

done_testing();
