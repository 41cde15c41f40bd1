# Copies of a database: a dump holds the queue and the books (R30); and no copy
# does what only the database itself may (R31): one restored or made from a
# template puts and deletes nothing, one that was promoted or recovered deletes
# nothing, until media_adopt.  A standby reads (R10).
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $root = PostgreSQL::Test::Utils::tempdir();
my $has_curl = system('command -v curl >/dev/null 2>&1') == 0;
my $endpoint = s3_missing() eq '' ? start_s3('copies') : undef;

note 'without an S3 server' unless defined $endpoint;

my $settings = q{
jit = off
shared_preload_libraries = 'mediastore'
mediastore.delete_grace = 0
mediastore.private_networks = on
};

# Some bytes, too many for the row; different for each name.
sub bytes
{
	my ($name) = @_;
	return join '', map { pack 'H*', sha256_hex($name . $_) } 1 .. 300;
}

# All that is at the stores: what other clients than ours see.
sub objects
{
	my %files = file_objects($root);
	my %s3 = defined $endpoint ? s3_objects($endpoint, 'copies') : ();
	return { (map { ("file $_" => $files{$_}) } keys %files), (map { ("s3 $_" => $s3{$_}) } keys %s3) };
}

# What is to be there by a database's rows.
sub wanted
{
	my ($node, $database) = @_;
	my $rows = $node->safe_psql($database, q{
		SELECT 'file photo/' || encode(sha256(data), 'hex') || '.bin' FROM photo WHERE data IS NOT NULL
		UNION SELECT 'file part/' || encode(sha256(data), 'hex') || '.bin' FROM part WHERE data IS NOT NULL
		UNION SELECT 'file album/' || encode(sha256(e), 'hex') || '.bin' FROM album, unnest(data) AS e WHERE e IS NOT NULL
		UNION SELECT o.server || ' ' || o.key FROM mediastore.object o JOIN mediastore.attachment a ON a.object = o.id WHERE a.offloaded }
		  . (defined $endpoint ? q{UNION SELECT 's3 far/' || encode(sha256(data), 'hex') || '.bin' FROM far WHERE data IS NOT NULL} : ''));
	return { map { s/^files /file /r => (/([0-9a-f]{64})/)[0] } split /\n/, $rows };
}

sub holds_rows_of
{
	my ($node, $database, $name) = @_;
	return is_deeply(objects(), wanted($node, $database), $name);
}

sub drain
{
	my ($node, $database) = @_;
	my ($status, $out, $error) = $node->psql($database, q{CALL media_drain('60 s')});

	die "media_drain: $error" if $status != 0;
	return $error;
}

sub wait_for
{
	my ($node, $database, $query, $wanted) = @_;
	my $end = time + 30;
	my $result;

	do
	{
		$result = $node->safe_psql($database, $query);
		return $result if $result eq $wanted;
		usleep(30_000);
	} while (time < $end);
	return $result;
}

sub waiting_of
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{SELECT DISTINCT waiting FROM mediastore.worker WHERE server IS NOT NULL});
}

sub enable
{
	my ($node, $on) = @_;

	$node->append_conf('postgresql.conf', "mediastore.enabled = $on");
	$node->reload;
	# sessions to come have it; the worker that is there must have seen it
	wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mediastore worker'}, 0) if $on eq 'off';
	return;
}

my $foreign = qr/^the objects are those of another cluster or database, .* it begins after media_adopt$/;
my $recovered = qr{^the server was promoted or recovered, .*: deletions, and keys .* wait for media_adopt$};

# ---------------------------------------------------------------- the original

my $origin = PostgreSQL::Test::Cluster->new('origin');

$origin->init(has_archiving => 1, allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C' ]);
$origin->append_conf('postgresql.conf', $settings);
$origin->start;
$origin->safe_psql(
	'postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE ROLE owner;
	GRANT CREATE ON SCHEMA public TO owner;
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root', public_url 'https://cdn.example.com');
	GRANT USAGE ON FOREIGN SERVER files TO owner;
	SET ROLE owner;
	CREATE TABLE photo (id int PRIMARY KEY, data bytea, url text);
	CREATE TABLE moved (id int PRIMARY KEY, data bytea);
	CREATE TABLE album (id int PRIMARY KEY, data bytea[]);
	CREATE TABLE part (id int PRIMARY KEY, data bytea) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
	CREATE FUNCTION pg_temp.push(relation text, server text, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS \$\$
	BEGIN
		EXECUTE format('CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON %I FOR EACH ROW EXECUTE FUNCTION media_push_trigger(%L, %L%s)',
			relation, 'data', 'server=' || server, options);
		EXECUTE format('CREATE TRIGGER push_truncate AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION media_push_trigger(%L)', relation, 'data');
	END \$\$;
	SELECT pg_temp.push('photo', 'files', ', ''url_column=url'''), pg_temp.push('moved', 'files', ', ''offload=null'''),
		pg_temp.push('album', 'files'), pg_temp.push('part', 'files');
	INSERT INTO photo SELECT n, decode(repeat(md5('photo' || n), 500), 'hex') FROM generate_series(1, 20) n;
	INSERT INTO moved SELECT n, decode(repeat(md5('moved' || n), 500), 'hex') FROM generate_series(1, 3) n;
	INSERT INTO album VALUES (1, ARRAY[${\MediastoreTest::hex(bytes('one'))}, NULL, ${\MediastoreTest::hex(bytes('three'))}]);
	INSERT INTO part VALUES (1, ${\MediastoreTest::hex(bytes('part 1'))}), (101, ${\MediastoreTest::hex(bytes('part 101'))});
});
$origin->safe_psql(
	'postgres', qq{
	CREATE SERVER s3 TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'copies', endpoint '$endpoint', path_style 'true');
	CREATE USER MAPPING FOR owner SERVER s3 OPTIONS (access_key_id '${\S3_KEY}', secret_access_key '${\S3_SECRET}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER s3 OPTIONS (access_key_id '${\S3_KEY}', secret_access_key '${\S3_SECRET}');
	GRANT USAGE ON FOREIGN SERVER s3 TO owner;
	SET ROLE owner;
	CREATE TABLE far (id int PRIMARY KEY, data bytea);
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON far FOR EACH ROW EXECUTE FUNCTION media_push_trigger('data', 'server=s3');
	INSERT INTO far SELECT n, decode(repeat(md5('far' || n), 500), 'hex') FROM generate_series(1, 5) n;
}) if defined $endpoint;
drain($origin, 'postgres');
holds_rows_of($origin, 'postgres', 'the original has its objects at the stores');
cmp_ok(scalar(keys %{ objects() }), '>=', 27, 'many');

# ---------------------------------------------------------------- dump and restore

# something of each state: put, to be put, to be folded
$origin->safe_psql('postgres', q{SELECT media_pause('files'); SET ROLE owner; INSERT INTO photo VALUES (21, 'to be put'); UPDATE photo SET data = 'to be put, too' WHERE id = 1});
is(wait_for($origin, 'postgres', q{SELECT count(*) FROM mediastore.object WHERE state = 'pending'}, 2), 2, 'some objects wait');
enable($origin, 'off');
$origin->safe_psql('postgres', q{UPDATE mediastore.store SET paused = false; SET ROLE owner; INSERT INTO photo VALUES (22, 'to be folded'); DELETE FROM photo WHERE id = 2; UPDATE photo SET id = 30 WHERE id = 3});
is($origin->safe_psql('postgres', 'SELECT count(*) > 2 FROM mediastore.change'), 't', 'and changes');

my %books = (
	store => 'SELECT * FROM mediastore.store ORDER BY server',
	object => 'SELECT * FROM mediastore.object ORDER BY id',
	attachment => 'SELECT * FROM mediastore.attachment ORDER BY relation::text, row_key, column_name, index',
	change => 'SELECT * FROM mediastore.change ORDER BY id',
	triggers => q{SELECT tgrelid::regclass, pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE tgfoid = 'media_push_trigger'::regproc ORDER BY tgrelid::regclass::text, tgname},
	servers => q{SELECT srvname, srvtype, ARRAY(SELECT o FROM unnest(srvoptions) AS o ORDER BY o), srvacl FROM pg_foreign_server ORDER BY srvname},
	mappings => q{SELECT srvname, usename, ARRAY(SELECT o FROM unnest(umoptions) AS o ORDER BY o) FROM pg_user_mappings ORDER BY srvname, usename},
	sequences => q{SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname = 'mediastore' AND sequencename <> 'run_id_seq' ORDER BY 2},
	rows => q{SELECT id, md5(data), url FROM photo ORDER BY id});
my %original = map { $_ => $origin->safe_psql('postgres', $books{$_}) } keys %books;
my $at_stores = objects();
my $dump = $origin->basedir . '/dump.sql';

$origin->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $origin->connstr('postgres') ], 'R30: pg_dump');

my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$other->append_conf('postgresql.conf', $settings . "mediastore.enabled = off\n");
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE owner');
$origin->safe_psql('template1', 'CREATE DATABASE restored');
$origin->safe_psql('template1', 'CREATE DATABASE templated TEMPLATE postgres');
$other->safe_psql('postgres', 'CREATE DATABASE restored');

foreach my $copy ([ $origin, 'another database' ], [ $other, 'another cluster' ])
{
	my ($node, $where) = @$copy;

	$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], "R30: restored into $where");
	foreach my $table (sort keys %books)
	{
		is($node->safe_psql('restored', $books{$table}), $original{$table}, "R30: $where: $table");
	}
}
isnt($original{$_}, '', "with $_") foreach grep { $_ ne 'mappings' || defined $endpoint } sort keys %books;

# Changes become objects in a copy, too.
sub numbers_go_on
{
	my ($node, $database, $where) = @_;

	drain($node, $database);
	is($node->safe_psql($database, 'SELECT count(*) FROM mediastore.change'), 0, "R30: $where: the queue is read");
	my ($object) = sort { $b <=> $a } map { /^(\d+)\|/ } split /\n/, $original{object};
	is($node->safe_psql($database, qq{
		SET ROLE owner;
		INSERT INTO photo VALUES (40, 'new in $where');
		RESET ROLE;
		CALL media_drain('60 s');
		SELECT max(id) > $object AND count(*) > 0 FROM mediastore.object WHERE sha256 = sha256('new in $where')}), 't', "R30: $where: numbers go on");
	return;
}

# ---------------------------------------------------------------- none that was restored does anything

sub does_nothing
{
	my ($node, $database, $where) = @_;

	numbers_go_on($node, $database, $where);
	$node->safe_psql($database, q{SET ROLE owner; DELETE FROM photo WHERE id > 5; UPDATE photo SET data = 'changed' WHERE id = 4; TRUNCATE album; DELETE FROM moved; DROP TABLE part_1});
	$node->safe_psql($database, q{SET ROLE owner; DELETE FROM far}) if defined $endpoint;
	like(drain($node, $database), qr/objects were left as they are/, "R31: $where: media_drain tells that it did nothing");
	usleep(300_000);
	like(waiting_of($node, $database), $node == $other ? $foreign : qr/^mediastore.enabled is off$/, "R31: $where: the view tells why");
	is($node->safe_psql($database, q{SELECT bool_or(state = 'deleting') AND bool_or(state = 'pending') AND NOT bool_or(tried AND state = 'pending') FROM mediastore.object}), 't', "R31: $where: it knows what it would do");
	is_deeply(objects(), $at_stores, "R31: $where: and does nothing");
	is($node->safe_psql($database, q{SELECT sum(attempts) FROM mediastore.object}), 0, "R31: $where: nor has tried to");
	return;
}

# there is a worker in the other cluster, in the original's there is none
enable($other, 'on');
does_nothing($other, 'restored', 'another cluster');
does_nothing($origin, 'restored', 'another database');
does_nothing($origin, 'templated', 'a copy of the template');

# with a worker of theirs, too; the original does what it has to do
enable($origin, 'on');
$origin->safe_psql($_, q{SET ROLE owner; DELETE FROM photo WHERE id = 5}) foreach 'restored', 'templated';
drain($origin, 'postgres');
holds_rows_of($origin, 'postgres', 'R31: the original goes on');
$at_stores = objects();
drain($origin, $_) foreach 'restored', 'templated';
usleep(500_000);
is_deeply(objects(), $at_stores, 'R31: its copies do nothing');
like(waiting_of($origin, $_), $foreign, "R31: $_: the view tells why") foreach 'restored', 'templated';

# reading is harmless
is($other->safe_psql('restored', q{SELECT sha256(media_get('files', key)) = sha256 FROM mediastore.object WHERE state = 'stored' AND server = 'files' ORDER BY id LIMIT 1}), 't', 'R31: but they may read');

# ---------------------------------------------------------------- standby, promotion

$origin->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($origin, 'copy', has_streaming => 1);
$standby->start;
$origin->safe_psql('postgres', q{SET ROLE owner; INSERT INTO photo VALUES (50, 'after the backup')});
drain($origin, 'postgres');
# what the worker writes does not wait for its WAL
$origin->safe_psql('postgres', 'SET synchronous_commit = on; SELECT txid_current()');
$origin->wait_for_catchup($standby, 'replay', $origin->lsn('insert'));
is($standby->safe_psql('postgres', 'SELECT DISTINCT state FROM mediastore.worker'), 'standby', 'R10: a standby knows that it is one');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mediastore%'}), 0, 'R10: and has no worker');
my ($status, $out, $error) = $standby->psql('postgres', 'CALL media_drain()');
isnt($status, 0, 'R10: media_drain is refused');
foreach my $query (
	q{SELECT media_url('files', 'a b')},
	q{SELECT bool_and(sha256(media_get('files', key)) = sha256), count(*) > 0 FROM mediastore.object WHERE state = 'stored' AND server = 'files'},
	q{SELECT bytes FROM media_head('files', (SELECT min(key COLLATE "C") FROM mediastore.object WHERE state = 'stored' AND server = 'files'))},
	q{SELECT count(*), sum(bytes) FROM media_list('files', 'photo/')},
	q{SELECT encode(sha256(media_fetch(m, 'data')), 'hex') FROM moved AS m ORDER BY id},
	q{SELECT (r).status, (r).headers->>'Location' FROM (SELECT media_serve_row(m, 'data') AS r FROM moved AS m ORDER BY id) AS s},
	q{SELECT (r).status, (r).headers, sha256((r).body) FROM (SELECT media_serve(data) AS r FROM photo ORDER BY id) AS s},
	q{SELECT media_format(data), media_is_image(data) FROM photo ORDER BY id},
	q{SELECT server, changes, pending, deleting, dead FROM mediastore.worker ORDER BY server},
	q{SELECT * FROM mediastore.queue},
	q{SELECT finding, key FROM mediastore.audit('files') ORDER BY 1, 2},
	(defined $endpoint ? (q{SELECT media_presign('s3', 'a b', at => '2030-01-01')}, q{SELECT bool_and(sha256(media_get('s3', key)) = sha256), count(*) FROM mediastore.object WHERE server = 's3'}) : ()))
{
	my $expected = $origin->safe_psql('postgres', $query);
	is($standby->safe_psql('postgres', $query), $expected, "R10: a standby answers as its primary: $query");
}
if (defined $endpoint && $has_curl)
{
	my $url = $standby->safe_psql('postgres', q{SELECT media_presign('s3', min(key)) FROM mediastore.object WHERE server = 's3'});
	my $file = PostgreSQL::Test::Utils::tempdir() . '/got';
	my ($code) = run_command([ 'curl', '-s', '-o', $file, '-w', '%{http_code}', $url ]);
	is($code . ' ' . sha256_hex(slurp_file($file)), '200 ' . $standby->safe_psql('postgres', q{SELECT encode(sha256, 'hex') FROM mediastore.object WHERE server = 's3' ORDER BY key LIMIT 1}),
		'R10: what a standby signs is good');
}

# for a recovery to a point in time, later
$origin->safe_psql('postgres', q{SELECT pg_create_restore_point('before')});
$at_stores = objects();

# What a database that was promoted does: it puts, and deletes nothing.
sub only_puts
{
	my ($node, $where, $deletes) = @_;
	my $before = objects();

	$node->safe_psql('postgres', "SET ROLE owner; INSERT INTO photo VALUES (60, 'new in $where'); DELETE FROM photo WHERE id IN (10, 11); TRUNCATE album");
	drain($node, 'postgres');
	my $after = objects();
	my $new = 'file photo/' . sha256_hex("new in $where") . '.bin';
	is($after->{$new}, sha256_hex("new in $where"), "R31: $where: it puts");
	is($node->safe_psql('postgres', 'SELECT url FROM photo WHERE id = 60'), 'https://cdn.example.com/' . substr($new, 5), "R31: $where: and tells the row");
	delete $after->{$new};
	is_deeply($after, $before, "R31: $where: it deletes nothing");
	like(waiting_of($node, 'postgres'), $recovered, "R31: $where: the view tells why");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM mediastore.object WHERE state = 'deleting' AND attempts = 0}), $deletes, "R31: $where: it knows what it would delete");
	return;
}

sub adopts
{
	my ($node, $where) = @_;

	$node->safe_psql('postgres', 'SELECT media_adopt(server) FROM mediastore.store');
	drain($node, 'postgres');
	is(waiting_of($node, 'postgres'), '', "R31: $where: nothing waits after media_adopt");
	return;
}

$standby->promote;
is(wait_for($standby, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mediastore launcher'}, 1), 1, 'R10: a promoted standby has a launcher');
only_puts($standby, 'promoted', 4);
adopts($standby, 'promoted');
holds_rows_of($standby, 'postgres', 'R31: promoted: and it deletes, then');
$standby->stop;

# ---------------------------------------------------------------- a recovery to a point in time

# the original loses what it should not have
$origin->safe_psql('postgres', q{SET ROLE owner; DELETE FROM photo WHERE id BETWEEN 12 AND 15});
drain($origin, 'postgres');
$origin->safe_psql('postgres', 'SELECT pg_switch_wal()');
$origin->stop;

my $recovered_node = PostgreSQL::Test::Cluster->new('recovered');
$recovered_node->init_from_backup($origin, 'copy', has_restoring => 1, standby => 0);
$recovered_node->append_conf('postgresql.conf', "recovery_target_name = 'before'\nrecovery_target_action = promote\nrecovery_target_timeline = current");
$recovered_node->start;
is(wait_for($recovered_node, 'postgres', 'SELECT pg_is_in_recovery()', 'f'), 'f', 'recovered');
is($recovered_node->safe_psql('postgres', 'SELECT count(*) FROM photo WHERE id BETWEEN 10 AND 15'), 6, 'with what was deleted since');
# of which the store has nothing any more
is($recovered_node->safe_psql('postgres', q{SELECT count(*) FROM mediastore.audit('files') WHERE finding = 'missing' AND relation = 'photo'::regclass}), 6, 'audit tells what the store has no more');
$recovered_node->safe_psql('postgres', q{SELECT count(*) FROM mediastore.audit('files', true)});
drain($recovered_node, 'postgres');
is($recovered_node->safe_psql('postgres', q{SELECT count(*) FROM mediastore.audit('files') WHERE finding = 'missing'}), 0, 'and has it put again');
# and what the promoted one has put there, of which no row here knows
only_puts($recovered_node, 'recovered', 5);
adopts($recovered_node, 'recovered');
my $expected = wanted($recovered_node, 'postgres');
my $there = objects();
is_deeply({ map { $_ => $there->{$_} } grep { exists $expected->{$_} } keys %$there }, $expected, 'R31: recovered: all that rows refer to is there');
ok(!exists $there->{ 'file photo/' . sha256_hex(pack 'H*', $recovered_node->safe_psql('postgres', q{SELECT repeat(md5('photo10'), 500)})) . '.bin' }, 'R31: recovered: and it deletes, then');
$recovered_node->stop;

# ---------------------------------------------------------------- a copy that is to be the original

$other->safe_psql('restored', 'SELECT media_adopt(server) FROM mediastore.store');
drain($other, 'restored');
is(waiting_of($other, 'restored'), '', 'R31: another cluster: nothing waits after media_adopt');
is($other->safe_psql('restored', q{SELECT count(*) FILTER (WHERE state = 'stored'), count(*) FILTER (WHERE state <> 'stored') FROM mediastore.object}),
	scalar(keys %{ wanted($other, 'restored') }) . '|0', 'R31: another cluster: it is the original now');
$there = objects();
$expected = wanted($other, 'restored');
is($there->{'file photo/' . sha256_hex('changed') . '.bin'}, sha256_hex('changed'), 'R31: another cluster: it puts');
ok(!(grep { /^file album|^s3/ } keys %$there), 'R31: another cluster: and deletes');
$other->stop;

done_testing();
