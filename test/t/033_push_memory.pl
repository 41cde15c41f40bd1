# Memory stays flat: of a session that changes very many rows in a transaction
# (R18), and of the worker and its courier, whatever the number of objects (R23)
# and their size (R22).
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest qw(status_of);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $rows = 100_000;
my $objects = $ENV{SOAK_OBJECTS} // 1_200;
my $large = 1024 * 1024 * ($ENV{LARGE_MEGABYTES} // 200);
my $root = PostgreSQL::Test::Utils::tempdir();
my $node = PostgreSQL::Test::Cluster->new('memory');

$node->init;
$node->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'mediastore'
	shared_buffers = '16MB'
	log_statement = none
	max_wal_size = '2GB'
	mediastore.delete_grace = 0
});
$node->start;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$root');
	SELECT media_pause('files')});

my $table = q{
	CREATE TABLE picture (id int PRIMARY KEY, data bytea);
	ALTER TABLE picture ALTER data SET STORAGE EXTERNAL;
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON picture FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=files', 'key={sha256}');
};

$node->safe_psql('postgres', $table);

# --- a session ---------------------------------------------------------------

# kB of all of its memory contexts; one statement a row, as an application does
my ($first, $half, $last, $changes) = split /\n/, $node->safe_psql('postgres', qq{
	CREATE PROCEDURE change(n int) LANGUAGE plpgsql AS \$\$
		BEGIN FOR i IN 1 .. n LOOP INSERT INTO picture VALUES (i, '1') ON CONFLICT (id) DO UPDATE SET data = (length(picture.data) + i)::text::bytea; END LOOP; END \$\$;
	CALL change(1000); SELECT (sum(total_bytes) / 1024)::int FROM pg_backend_memory_contexts;
	CALL change($rows / 2); SELECT (sum(total_bytes) / 1024)::int FROM pg_backend_memory_contexts;
	CALL change($rows / 2); SELECT (sum(total_bytes) / 1024)::int FROM pg_backend_memory_contexts;
	SELECT count(*) FROM mediastore.change});
cmp_ok($last - $first, '<', 1024, "R18: $rows changes of a session leave its memory as it was: $first, $half, $last kB");

# and in one transaction, but for PostgreSQL's own list of triggers' events
my ($before, $after) = split /\n/, $node->safe_psql('postgres', qq{
	CALL change(1000); BEGIN; SELECT (sum(total_bytes) / 1024)::int FROM pg_backend_memory_contexts WHERE name <> 'AfterTriggerEvents';
	CALL change($rows); SELECT (sum(total_bytes) / 1024)::int FROM pg_backend_memory_contexts WHERE name <> 'AfterTriggerEvents'; ROLLBACK});
cmp_ok($after - $before, '<', 1024, "R18: nor do they in one transaction: $before, $after kB");
$node->safe_psql('postgres', q{DROP TABLE picture; SELECT media_resume('files')});
is(soon($node, 'SELECT (SELECT count(*) FROM mediastore.change) + (SELECT count(*) FROM mediastore.object)', 0, 120), 0, 'R18: all of them are folded, to nothing');
$node->safe_psql('postgres', $table);

# --- the worker and its courier ----------------------------------------------

# Private memory of a process that it has touched, kB: shared buffers are not its own.
sub own_memory
{
	my ($pid) = @_;
	return (status_of($pid, 'RssAnon') // '') =~ /^(\d+)/ ? $1 : 0;
}

sub both { return own_memory(worker_pid($node) // return) + own_memory(courier_pid($node) // return) }

# Waits until all is stored; the most that both had in the meantime.
sub peak_until_stored
{
	my $until = time + 120;
	my $peak = 0;

	while (time < $until)
	{
		my $now = both() // 0;

		$peak = $now if $now > $peak;
		last if
		  $node->safe_psql('postgres', "SELECT NOT EXISTS (SELECT FROM mediastore.change) AND NOT EXISTS (SELECT FROM mediastore.object WHERE state <> 'stored')") eq 't';
		usleep(20_000);
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM picture') - $node->safe_psql('postgres', "SELECT count(*) FROM mediastore.object WHERE state = 'stored'"), 0,
		'all are stored');
	return $peak;
}

sub insert
{
	my ($from, $to) = @_;
	$node->safe_psql('postgres', "INSERT INTO picture SELECT i, decode(repeat(md5(i::text), 150000 / 16), 'hex') FROM generate_series($from, $to) i");
	return peak_until_stored();
}

my $begin = insert(1, $objects / 4);
my $end = insert($objects / 4 + 1, $objects);
cmp_ok($end, '<', $begin + 5 * 1024, "R23: $objects objects of 150 kB take no more memory than the first of them: $begin, $end kB");

$node->safe_psql('postgres', "INSERT INTO picture VALUES (0, decode(repeat(md5('large'), $large / 16), 'hex'))");
my $one = peak_until_stored();
cmp_ok($one, '<', $begin + 5 * 1024, "R22: nor does one of $large bytes: $one kB");
cmp_ok($one, '<', 96 * 1024, 'R22: which is not much');
is($node->safe_psql('postgres', "SELECT encode(sha256(data), 'hex') FROM picture WHERE id = 0"),
	{ file_objects($root) }->{ $node->safe_psql('postgres', 'SELECT key FROM mediastore.object ORDER BY bytes DESC LIMIT 1') }, 'R22: and all of it is there');
$node->stop;
done_testing();
