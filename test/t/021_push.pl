# What becomes of rows at a store: what is committed is pushed, nothing else,
# and nobody but its owner's rights count.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Find;
use FindBin;
use IO::Socket::INET;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('push');
my $root = PostgreSQL::Test::Utils::tempdir();

$node->init;
$node->append_conf(
	'postgresql.conf', q{
jit = off
log_statement = none
shared_preload_libraries = 'mediastore'
max_prepared_transactions = 5
mediastore.delete_grace = 0
mediastore.private_networks = on
mediastore.max_attempts = 3
});
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE ROLE owner;
	GRANT CREATE ON SCHEMA public TO owner;
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root', public_url 'https://cdn.example.com');
	GRANT USAGE ON FOREIGN SERVER files TO owner;
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub as_owner { return sql("SET ROLE owner; $_[0]") }

# All files of the store: path => SHA-256 of its content.
sub files
{
	my %files;

	find({ no_chdir => 1, wanted => sub { $files{ s/^\Q$root\E\/?//r } = sha256_hex(slurp_file($_)) if -f } }, $root);
	return \%files;
}

sub drain { return sql("CALL media_drain('60 s')") }

# Some bytes, too many for the row; different for each name.
sub bytes
{
	my ($name, $length) = @_;
	my $bytes = '';

	$bytes .= pack 'H*', sha256_hex($name . length $bytes) while length $bytes < ($length // 10_000);
	return substr $bytes, 0, $length // 10_000;
}

sub push_trigger
{
	my ($table, $options, $column) = @_;

	$column //= 'data';
	return qq{
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON $table FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('$column', 'server=files'$options);
		CREATE TRIGGER push_truncate AFTER TRUNCATE ON $table FOR EACH STATEMENT
			EXECUTE FUNCTION media_push_trigger('$column', 'server=files'$options);};
}

sub wait_for
{
	my ($query, $wanted, $seconds) = @_;
	my $end = time + ($seconds // 20);
	my $result;

	do
	{
		$result = sql($query);
		return $result if $result eq $wanted;
		usleep(20_000);
	} while (time < $end);
	return $result;
}

sub key { return "$_[0]/" . sha256_hex($_[1]) . '.bin' }

# Drains, and the store holds just that: key => content.
sub holds
{
	my ($wanted, $name) = @_;

	drain();
	return is_deeply(files(), { map { $_ => sha256_hex($wanted->{$_}) } keys %$wanted }, $name);
}

# --- what is committed ---------------------------------------------------

as_owner('CREATE TABLE photo (id int PRIMARY KEY, data bytea)');
as_owner(push_trigger('photo', ''));

my ($a, $b, $c) = map { bytes($_) } qw(a b c);
my $large = bytes('large', 1_000_000);

as_owner('INSERT INTO photo VALUES (1, ' . hex($a) . '), (2, ' . hex($large) . "), (3, ''), (4, NULL)");
holds({ key('photo', $a) => $a, key('photo', $large) => $large, key('photo', '') => '' }, 'R12 values are put, byte for byte');
is(sql(q{SELECT string_agg(DISTINCT state, ' ') FROM mediastore.object}), 'stored', '... and known to be stored');

as_owner('UPDATE photo SET data = ' . hex($b) . ' WHERE id = 1');
holds({ key('photo', $b) => $b, key('photo', $large) => $large, key('photo', '') => '' }, 'R17 an update puts the new and deletes the old');
as_owner('UPDATE photo SET id = 10 WHERE id = 1; DELETE FROM photo WHERE id = 2');
holds({ key('photo', $b) => $b, key('photo', '') => '' }, 'R17 a delete deletes, another key does not');
as_owner('UPDATE photo SET data = NULL WHERE id = 10');
holds({ key('photo', '') => '' }, 'R17 null deletes');

$node->psql('postgres', 'SET ROLE owner; BEGIN; INSERT INTO photo VALUES (20, ' . hex($a) . '); ROLLBACK');
as_owner('BEGIN; SAVEPOINT s; INSERT INTO photo VALUES (21, ' . hex($a) . '); ROLLBACK TO s; INSERT INTO photo VALUES (22, ' . hex($c) . '); COMMIT');
as_owner('BEGIN; INSERT INTO photo VALUES (23, ' . hex($a) . "); PREPARE TRANSACTION 'p'");
usleep(300_000);
holds({ key('photo', '') => '', key('photo', $c) => $c }, 'R12 nothing of what is rolled back, or not yet committed');
sql(q{ROLLBACK PREPARED 'p'});
is(sql('SELECT count(*) FROM mediastore.change'), 0, 'R12 and nothing is left of it in the queue');
as_owner('BEGIN; INSERT INTO photo VALUES (24, ' . hex($a) . "); PREPARE TRANSACTION 'p'");
sql(q{COMMIT PREPARED 'p'});
is(wait_for('SELECT count(*) FROM mediastore.object WHERE state <> \'stored\' OR (SELECT count(*) FROM mediastore.change) > 0', 0), 0,
	'R18 a prepared transaction wakes the worker when it commits');
holds({ key('photo', '') => '', key('photo', $c) => $c, key('photo', $a) => $a }, '... and is pushed');

as_owner('TRUNCATE photo');
holds({}, 'R17 truncate deletes');

# two rows, one object
as_owner('INSERT INTO photo SELECT i, ' . hex($a) . ' FROM generate_series(1, 3) i');
holds({ key('photo', $a) => $a }, 'the same bytes are one object');
is(sql('SELECT count(*) FROM mediastore.attachment'), 3, 'of three rows');
as_owner('DELETE FROM photo WHERE id < 3');
holds({ key('photo', $a) => $a }, 'R17 that stays for the last row');
as_owner('DELETE FROM photo');
holds({}, 'R17 and goes with it');

# cascades, and DROP TABLE
as_owner('CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id text PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, data bytea)');
as_owner(push_trigger('child', ''));
as_owner(q~INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES ('x,{"\\', 1, ~ . hex($a) . q~), ('y', 2, ~ . hex($b) . ')');
holds({ key('child', $a) => $a, key('child', $b) => $b }, 'keys that need quotes');
as_owner('DELETE FROM parent WHERE id = 1');
holds({ key('child', $b) => $b }, 'R17 cascades delete');
as_owner('DROP TABLE child');
holds({}, 'R17 dropping a table deletes');

# keys that name no content
as_owner('CREATE TABLE named (a text, b date, c uuid, data bytea, PRIMARY KEY (b, a, c))');
as_owner(push_trigger('named', q{, 'key={table}/{pk}.{ext}'}));
as_owner(q{INSERT INTO named VALUES ('ä/b', '2020-02-01', '00000000-0000-0000-0000-000000000001', } . hex($a) . ')');
drain();
is_deeply([ values %{ files() } ], [ sha256_hex($a) ], 'keys of several types');
as_owner('UPDATE named SET data = ' . hex($b));
as_owner('UPDATE named SET data = ' . hex($c));
drain();
is_deeply([ values %{ files() } ], [ sha256_hex($c) ], 'R15 the last value is what stays');
as_owner('DELETE FROM named; INSERT INTO named VALUES (\'ä/b\', \'2020-02-01\', \'00000000-0000-0000-0000-000000000001\', ' . hex($a) . ')');
drain();
is_deeply([ values %{ files() } ], [ sha256_hex($a) ], 'R15 deleted and put again');
as_owner('DROP TABLE named');
holds({}, 'and away');

# --- write-back ----------------------------------------------------------

as_owner('CREATE TABLE told (id int PRIMARY KEY, data bytea, url text)');
as_owner(push_trigger('told', q{, 'url_column=url'}));
as_owner('INSERT INTO told VALUES (1, ' . hex($a) . ')');
drain();
is(sql('SELECT url FROM told'), 'https://cdn.example.com/' . key('told', $a), 'the URL is written to the row');
as_owner('UPDATE told SET data = ' . hex($b));
drain();
is(sql('SELECT url FROM told'), 'https://cdn.example.com/' . key('told', $b), '... and that of the next value');
as_owner('INSERT INTO told VALUES (2, ' . hex($b) . ')');
drain();
is(sql('SELECT count(DISTINCT url) FROM told'), 1, 'a row that refers to what is stored already is told, too');

# a row that is locked, and one that changes meanwhile
my $session = $node->background_psql('postgres');
sql(q{SELECT media_pause('files')});
as_owner('INSERT INTO told VALUES (3, ' . hex($c) . ')');
$session->query_safe('BEGIN; SELECT 1 FROM told WHERE id = 3 FOR UPDATE');
sql(q{SELECT media_resume('files')});
as_owner('INSERT INTO told VALUES (4, ' . hex($a) . ')');
is(wait_for('SELECT url IS NOT NULL FROM told WHERE id = 4', 't'), 't', 'nobody waits for a row that is locked');
is(sql('SELECT url IS NULL FROM told WHERE id = 3'), 't', 'which is not told');
$session->query_safe('UPDATE told SET data = ' . hex($large) . ' WHERE id = 3; COMMIT');
drain();
is(sql('SELECT url FROM told WHERE id = 3'), 'https://cdn.example.com/' . key('told', $large), 'but come back to, and told what it holds by then');
ok(!exists files()->{ key('told', $c) }, 'and what it held is deleted');
$session->quit;
as_owner('DROP TABLE told');

# offload
my %pictures = small_pictures();
as_owner(q{CREATE TABLE gone (id int PRIMARY KEY, data bytea, url text)});
as_owner(push_trigger('gone', q{, 'url_column=url', 'offload=null'}));
as_owner('INSERT INTO gone VALUES (1, ' . hex($a) . ')');
drain();
is(sql('SELECT data IS NULL, url FROM gone'), 't|https://cdn.example.com/' . key('gone', $a), 'offload => null empties the column');
is(files()->{ key('gone', $a) }, sha256_hex($a), 'and the store has it');
is(sql(q{SELECT string_agg(offloaded || ' ' || written, ',') FROM mediastore.attachment WHERE relation = 'gone'::regclass}), 'true true', 'which is known');
as_owner('UPDATE gone SET id = 2');
drain();
is(files()->{ key('gone', $a) }, sha256_hex($a), 'R17 a change of the row does not lose it');
as_owner('DROP TABLE gone');

my $picture = slurp_file("$FindBin::RealBin/../data/" . (grep { /\.jpe?g$/ } slurp_dir("$FindBin::RealBin/../data"))[0]);
as_owner(q{CREATE TABLE small (id int PRIMARY KEY, data bytea, url text)});
as_owner(push_trigger('small', q{, 'url_column=url', 'offload=thumbnail'}));
as_owner('INSERT INTO small VALUES (1, ' . hex($picture) . '), (2, ' . hex($a) . ')');
is(wait_for(q{SELECT url IS NOT NULL AND media_format(data) = 'webp' AND greatest(media_width(data), media_height(data)) <= 256 FROM small WHERE id = 1}, 't'),
	't', 'offload => thumbnail leaves a small picture');
is(wait_for(q{SELECT a.written AND NOT a.offloaded AND o.last_error IS NOT NULL FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object WHERE a.relation = 'small'::regclass AND a.row_key = '{2}'}, 't'),
	't', 'what is no picture stays as it is, and it is told why');
is(sql('SELECT length(data) FROM small WHERE id = 2'), length $a, 'all of it');
as_owner('DROP TABLE small');

# arrays
as_owner('CREATE TABLE album (id int PRIMARY KEY, data bytea[], urls text[])');
as_owner(push_trigger('album', q{, 'url_column=urls'}));
as_owner('INSERT INTO album VALUES (1, ARRAY[' . hex($a) . ', NULL, ' . hex($b) . '])');
holds({ key('album', $a) => $a, key('album', $b) => $b }, 'an object for each element of an array');
is(sql('SELECT urls FROM album'), '{https://cdn.example.com/' . key('album', $a) . ',NULL,https://cdn.example.com/' . key('album', $b) . '}', 'and their URLs');
as_owner('UPDATE album SET data = ARRAY[' . hex($c) . ', ' . hex($a) . ']');
holds({ key('album', $a) => $a, key('album', $c) => $c }, 'elements come, go and move');
is(sql('SELECT urls FROM album'), '{https://cdn.example.com/' . key('album', $c) . ',https://cdn.example.com/' . key('album', $a) . '}', 'with their URLs');
as_owner('DROP TABLE album');
holds({}, 'and away');

# --- what cannot be done -------------------------------------------------

# deleted before it was put
sql(q{SELECT media_pause('files')});
as_owner('INSERT INTO photo VALUES (1, ' . hex($a) . '), (2, ' . hex($b) . ')');
usleep(500_000);
is(sql('SELECT count(*) FROM mediastore.object WHERE state = \'pending\''), 2, 'a store that is paused waits');
is_deeply(files(), {}, 'and nothing is put there');
as_owner('DELETE FROM photo WHERE id = 1');
sql(q{SELECT media_resume('files')});
as_owner('UPDATE photo SET id = 3 WHERE id = 2');
holds({ key('photo', $b) => $b }, 'a value that is deleted before it was put never is');

# changed without a trigger
sql(q{SELECT media_pause('files')});
as_owner('INSERT INTO photo VALUES (4, ' . hex($a) . ')');
is(wait_for(q{SELECT count(*) FROM mediastore.object WHERE state = 'pending'}, 1), 1, 'waiting');
sql('SET session_replication_role = replica; UPDATE photo SET data = ' . hex($c) . ' WHERE id = 4');
sql(q{SELECT media_resume('files')});
as_owner('INSERT INTO photo VALUES (5, ' . hex($large) . ')');
is(wait_for(q{SELECT state || ' ' || attempts || ' ' || last_error FROM mediastore.object WHERE sha256 = '\x} . sha256_hex($a) . q{'}, 'dead 3 value of the row is not the one that was attached', 30),
	'dead 3 value of the row is not the one that was attached', 'R16 what is not the value that was attached is given up, in the end');
ok(!exists files()->{ key('photo', $a) }, 'and never put');
ok(exists files()->{ key('photo', $large) }, 'while others go on');
sql('SET session_replication_role = replica; UPDATE photo SET data = ' . hex($a) . ' WHERE id = 4');
is(sql(q{SELECT media_retry(id) FROM mediastore.object WHERE state = 'dead'}), 't', 'it can be tried again');
is(wait_for(q{SELECT state FROM mediastore.object WHERE sha256 = '\x} . sha256_hex($a) . q{'}, 'stored'), 'stored', 'and is put if it is that value again');
sql('TRUNCATE photo');
drain();

# a store that is down rests; others go on
sql(q{
	CREATE SERVER down TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'down', endpoint 'http://127.0.0.1:9');
	CREATE USER MAPPING FOR owner SERVER down OPTIONS (access_key_id 'AKIA', secret_access_key 'dontshow');
	GRANT USAGE ON FOREIGN SERVER down TO owner;
});
as_owner('CREATE TABLE far (id int PRIMARY KEY, data bytea)');
as_owner(push_trigger('far', '') =~ s/server=files/server=down/gr);
as_owner('INSERT INTO far SELECT i, sha256(i::text::bytea) FROM generate_series(1, 50) i; INSERT INTO photo VALUES (1, ' . hex($a) . ')');
is(wait_for(q{SELECT count(*) FROM mediastore.object WHERE server = 'files' AND state = 'stored'}, 1), 1, 'R16 another store goes on');
is(wait_for(q{SELECT failures > 1 AND last_error IS NOT NULL FROM mediastore.store WHERE server = 'down'}, 't'), 't', 'R16 one that is down rests');
is(sql(q{SELECT count(*) FROM mediastore.object WHERE server = 'down' AND state = 'pending' AND attempts <= 1}), 50, 'R16 and no object dies of it');
my $rests = () = slurp_file($node->logfile) =~ /store "down" rests/g;
is($rests, 1, 'which is told once');
sql('DROP TABLE far');
is(wait_for(q{SELECT count(*) FROM mediastore.object WHERE server = 'down' AND NOT tried}, 0), 0, 'what was never tried is forgotten');
is(sql(q{SELECT DISTINCT state FROM mediastore.object WHERE server = 'down'}), 'deleting', 'and the rest is to be deleted, should it be there');
sql(q{SELECT media_pause('down')});

# no right to use the server: this owner's trouble only
sql(q{CREATE ROLE other; GRANT CREATE ON SCHEMA public TO other; GRANT USAGE ON FOREIGN SERVER files TO other});
sql(q{SELECT media_pause('files')});
sql('SET ROLE other; CREATE TABLE others (id int PRIMARY KEY, data bytea);' . push_trigger('others', '') . 'INSERT INTO others VALUES (1, ' . hex($b) . ')');
is(wait_for(q{SELECT state FROM mediastore.object WHERE key LIKE 'others/%'}, 'pending'), 'pending', 'to be put');
sql(q{REVOKE USAGE ON FOREIGN SERVER files FROM other; SELECT media_resume('files')});
is(wait_for(q{SELECT last_error FROM mediastore.object WHERE key LIKE 'others/%'}, 'permission denied for foreign server files'),
	'permission denied for foreign server files', 'R28 who may not use a server puts nothing there');
as_owner('INSERT INTO photo VALUES (2, ' . hex($c) . ')');
is(wait_for(q{SELECT state FROM mediastore.object WHERE sha256 = '\x} . sha256_hex($c) . q{'}, 'stored'), 'stored', 'while who may does');
is(sql(q{SELECT state FROM mediastore.object WHERE key LIKE 'others/%'}), 'pending', 'and it waits');
sql(q{GRANT USAGE ON FOREIGN SERVER files TO other});
is(wait_for(q{SELECT state FROM mediastore.object WHERE key LIKE 'others/%'}, 'stored', 60), 'stored', 'until it may');
sql('DROP TABLE others');

# a table that is locked
$session = $node->background_psql('postgres');
sql(q{SELECT media_pause('files')});
as_owner('CREATE TABLE locked (id int PRIMARY KEY, data bytea)');
as_owner(push_trigger('locked', ''));
as_owner('INSERT INTO locked VALUES (1, ' . hex($large) . ')');
is(wait_for(q{SELECT count(*) FROM mediastore.object WHERE key LIKE 'locked/%'}, 1), 1, 'waiting');
$session->query_safe('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
sql(q{SELECT media_resume('files')});
as_owner('INSERT INTO photo VALUES (7, ' . hex(bytes('seven')) . ')');
is(wait_for(q{SELECT state FROM mediastore.object WHERE sha256 = '\x} . sha256_hex(bytes('seven')) . q{'}, 'stored'), 'stored', 'a locked table holds nobody up');
$session->query_safe('COMMIT');
$session->quit;
is(wait_for(q{SELECT state FROM mediastore.object WHERE key LIKE 'locked/%'}, 'stored'), 'stored', 'and is read when it is free');

# --- who we are ----------------------------------------------------------

# An owner who has planted all there is: a policy, operators and a cast in the
# search path, triggers that run at the write-back and at the commit.
sql(q{CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory; GRANT USAGE ON FOREIGN SERVER files TO mallory; CREATE TABLE loot (who text, how text); GRANT INSERT ON loot TO PUBLIC});
sql(
	q{SET ROLE mallory;
	CREATE FUNCTION public.note(how text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.loot VALUES (current_user || '/' || session_user, how); END $$;
	CREATE FUNCTION public.evil_equal(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM public.note('operator'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
	CREATE OPERATOR public.= (LEFTARG = int, RIGHTARG = int, FUNCTION = public.evil_equal);
	CREATE FUNCTION public.note_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM public.note('trigger ' || TG_NAME || ' ' || current_setting('search_path'));
		BEGIN SET ROLE postgres; PERFORM public.note('role'); EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN EXECUTE 'CREATE TEMP TABLE t ()'; PERFORM public.note('temp'); EXCEPTION WHEN OTHERS THEN NULL; END;
		RETURN NEW; END $$;
	CREATE TABLE trap (id int PRIMARY KEY, data bytea, url text);
	CREATE FUNCTION public.evil_policy() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM public.note('policy'); RETURN true; END $$;
	ALTER TABLE trap ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON trap USING (public.evil_policy());
	CREATE TRIGGER a BEFORE UPDATE ON trap FOR EACH ROW EXECUTE FUNCTION note_trigger();
	CREATE CONSTRAINT TRIGGER z AFTER UPDATE ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_trigger();
} . push_trigger('trap', q{, 'url_column=url'}));
sql('INSERT INTO trap VALUES (1, ' . hex($a) . ')');
is(wait_for('SELECT url IS NOT NULL FROM trap', 't'), 't', 'R26 an owner\'s triggers run at the write-back');
is(sql(q{SELECT string_agg(DISTINCT split_part(who, '/', 1), ' ') FROM loot WHERE how LIKE 'trigger%'}), 'mallory', 'R26 as that owner');
is(sql(q{SELECT count(DISTINCT how) FROM loot WHERE how ~ '^trigger [az] pg_catalog, pg_temp$'}), 2, 'R26 with a search path of ours, deferred ones too');
is(sql(q{SELECT string_agg(how, ',') FROM loot WHERE how IN ('role', 'temp', 'operator', 'policy')}), '', 'R26 and gain nothing');

# one that raises: the row stays, with its bytes, and others go on
sql(
	q{SET ROLE mallory;
	CREATE OR REPLACE FUNCTION public.note_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
	INSERT INTO trap VALUES (2, } . hex($b) . ')');
as_owner('CREATE TABLE told (id int PRIMARY KEY, data bytea, url text)');
as_owner(push_trigger('told', q{, 'url_column=url'}));
as_owner('INSERT INTO told VALUES (1, ' . hex($a) . ')');
is(wait_for('SELECT url IS NOT NULL FROM told', 't'), 't', 'one that raises holds nobody up');
is(wait_for(q{SELECT a.written || ' ' || o.last_error || ' ' || o.attempts FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object WHERE a.relation = 'trap'::regclass AND a.row_key = '{2}'}, 'true not here 0', 30),
	'true not here 0', 'and is left alone in the end, with what it said');
is(sql('SELECT length(data), url IS NULL FROM trap WHERE id = 2'), length($b) . '|t', 'the row is as it was');
sql('DROP TABLE trap, told');
drain();

# --- what is not held meanwhile ------------------------------------------

SKIP:
{
	my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or skip 'no socket', 6;
	my $port = $listener->sockport;

	sql(qq{
		CREATE SERVER stalled TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'stalled', endpoint 'http://127.0.0.1:$port');
		CREATE USER MAPPING FOR owner SERVER stalled OPTIONS (access_key_id 'AKIA', secret_access_key 'dontshow');
		GRANT USAGE ON FOREIGN SERVER stalled TO owner;
	});
	as_owner('CREATE TABLE slow (id int PRIMARY KEY, data bytea)');
	as_owner(push_trigger('slow', '') =~ s/server=files/server=stalled/gr);
	my $begun = time;
	as_owner('INSERT INTO slow VALUES (1, ' . hex($large) . ')');
	my $connection = $listener->accept;
	cmp_ok(time - $begun, '<', 2, 'a transfer begins soon');
	usleep(300_000);
	my $held = q{SELECT xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE backend_type = 'mediastore worker'};
	is(sql($held), 't', 'R13 no transaction is open while a transfer stalls');
	is(sql(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'mediastore worker' AND l.locktype = 'relation'}), 0, 'R13 and no table is locked');
	as_owner('TRUNCATE slow; DROP TABLE slow');
	pass('R13 which can be dropped');
	as_owner('INSERT INTO photo VALUES (30, ' . hex(bytes('thirty')) . ')');
	is(wait_for(q{SELECT state FROM mediastore.object WHERE sha256 = '\x} . sha256_hex(bytes('thirty')) . q{'}, 'stored', 10), 'stored', 'others go on meanwhile');
	$begun = time;
	$node->stop('fast');
	cmp_ok(time - $begun, '<', 5, 'R5 nor does it hold up a stop');
	$node->start;
	$connection->close;
	$listener->close;
}

# --- in the foreground ---------------------------------------------------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
sql(q{UPDATE mediastore.object SET state = 'dead' WHERE server <> 'files'});
as_owner('TRUNCATE photo; TRUNCATE locked; INSERT INTO photo SELECT i, sha256(i::text::bytea) FROM generate_series(1, 300) i');
as_owner('INSERT INTO photo VALUES (1000, ' . hex($large) . ')');
usleep(300_000);
isnt(sql('SELECT count(*) FROM mediastore.change'), 0, 'without a worker the queue stays');
drain();
is(scalar(keys %{ files() }), 301, 'media_drain works it off');
as_owner('DELETE FROM photo');
holds({}, 'and deletes');
unlike(slurp_file($node->logfile), qr/dontshow|PANIC|terminated by signal/, 'no secret in the log, and no crash');
$node->stop;

done_testing();
