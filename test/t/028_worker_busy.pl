# A worker that waits for a store which does not answer is in nobody's way.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest qw(gone wait_gone);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'python3 is not installed' if faults_missing();

my $faults = start_faults();
my $node = PostgreSQL::Test::Cluster->new('busy');

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'mediastore'
	mediastore.stall_timeout = '10min'
	mediastore.transfer_timeout = '10min'
});
$node->start;
rules($faults, { fault => 'hang', method => 'PUT', key => 'stuck' });

# A database with a table that is pushed; rows whose id begins so are never stored.
sub create_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql(
		$database, qq{
		CREATE EXTENSION mediastore;
		CREATE SERVER store TYPE 's3' FOREIGN DATA WRAPPER mediastore
			OPTIONS (bucket 'b', region 'us-east-1', endpoint '$faults', private_network 'true');
		CREATE USER MAPPING FOR PUBLIC SERVER store OPTIONS (access_key_id 'key', secret_access_key 'secret');
		CREATE TABLE picture (id text PRIMARY KEY, data bytea);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON picture FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key={pk}/{sha256}')});
	return;
}

# Makes the worker of a database wait for the store; its pid.
my $number = 0;

sub make_busy
{
	my ($database) = @_;
	my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mediastore worker' AND datname = '$database'";
	my $end = time + 15;

	$number++;
	$node->safe_psql($database, "INSERT INTO picture VALUES ('stuck$number', 'bytes of $number')");
	while (time < $end)
	{
		my $pid = $node->safe_psql('postgres', $worker);

		return $pid if $pid ne '' && requests_for($faults, qr/stuck$number\//) > 0;
		usleep(20_000);
	}
	die "the worker of $database does not come as far as the store";
}

sub takes_less
{
	my ($name, $statement, $database) = @_;
	my $begin = time;
	my ($code, $stdout, $stderr) = $node->psql($database // 'postgres', $statement);

	is($code, 0, $name) or diag $stderr;
	return cmp_ok(time - $begin, '<', 2, "$name: it is not kept waiting");
}

create_database('app');
my $pid = make_busy('app');
is($node->safe_psql('postgres', "SELECT backend_xmin IS NULL AND backend_xid IS NULL AND state <> 'idle in transaction' FROM pg_stat_activity WHERE pid = $pid"),
	't', 'R13: no snapshot is held while a store is waited for');
is($node->safe_psql('app', "SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'relation'"), 0, 'R32: nor a table locked');

# other databases
$node->safe_psql('postgres', 'CREATE DATABASE other');
takes_less('R6: DROP DATABASE of another one', 'DROP DATABASE other');
ok(!gone($pid), 'R6: the worker stays for that');

# its own
my $folder = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$folder'");
takes_less('R4: ALTER DATABASE SET TABLESPACE', 'ALTER DATABASE app SET TABLESPACE elsewhere');
ok(wait_gone($pid, 2), 'R4: the worker has left for that');
make_busy('app');
takes_less('R4: CREATE DATABASE TEMPLATE', 'CREATE DATABASE copy TEMPLATE app');
make_busy('app');
takes_less('R4: ALTER DATABASE RENAME', 'ALTER DATABASE app RENAME TO new');
$node->safe_psql('new', q{INSERT INTO picture VALUES ('fine', 'others go on')});
my $fine = q{SELECT count(*) FROM mediastore.object WHERE key LIKE 'fine/%' AND state = 'stored'};
$node->poll_query_until('new', $fine, '1');
is($node->safe_psql('new', $fine), 1, 'R4: a worker comes again, and others are stored beside what hangs');

# the switch, and the extension's end
make_busy('new');
takes_less('R32: DROP EXTENSION, rolled back', 'BEGIN; DROP EXTENSION mediastore CASCADE; ROLLBACK', 'new');
$pid = make_busy('new');
takes_less('R32: DROP EXTENSION', 'DROP EXTENSION mediastore CASCADE', 'new');
ok(wait_gone($pid, 5), 'R32: the worker leaves');
$node->safe_psql('postgres', 'DROP DATABASE new');

# drops, forced and not
create_database('app');
make_busy('app');
takes_less('R4: DROP DATABASE', 'DROP DATABASE app');
create_database('app');
make_busy('app');
takes_less('R2: DROP DATABASE FORCE', 'DROP DATABASE app WITH (FORCE)');
my $log_length = -s $node->logfile;
usleep(5_500_000);
unlike(substr(slurp_file($node->logfile), $log_length), qr/FATAL|ERROR|mediastore/, 'R2: nothing in the log after it');

# the server's end, where no commit is ever confirmed
create_database('app');
$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
$node->safe_psql('postgres', 'SELECT 1');
$ENV{PGOPTIONS} = '-c synchronous_commit=local';
make_busy('app');
my $begin = time;
$node->stop('fast');
cmp_ok(time - $begin, '<', 2, 'R5: a fast stop');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'and nothing has crashed');

done_testing();
