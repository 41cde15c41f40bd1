# When there is a launcher and when there are workers, and that they are in
# nobody's way.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# A change that has nothing to do with any object, and a commit that tells of
# it: the worker's to take away.
my $leave_work = q{
	INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'pg_class');
	ALTER EXTENSION mediastore UPDATE;
};

sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%options);
	$node->append_conf('postgresql.conf', "jit = off\nlog_min_messages = warning\nmax_prepared_transactions = 5\nautovacuum = off\n");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mediastore'\n");
	return $node;
}

# Waits, some seconds, until a query gives what is wanted; tells what it gave.
sub wait_for
{
	my ($node, $database, $query, $wanted, $seconds) = @_;
	my $end = time + ($seconds // 15);
	my $result;

	do
	{
		$result = $node->safe_psql($database, $query);
		return $result if $result eq $wanted;
		usleep(20_000);
	} while (time < $end);
	return $result;
}

sub worked
{
	my ($node, $database, $name, $seconds) = @_;
	return is(wait_for($node, $database, 'SELECT count(*) FROM mediastore.change', 0, $seconds), 0, $name);
}

# Leaves work and waits until a worker of the database is seen; its pid.
sub worker_in
{
	my ($node, $database) = @_;

	foreach my $try (1 .. 20)
	{
		$node->safe_psql($database, "BEGIN; $leave_work COMMIT");
		foreach my $look (1 .. 50)
		{
			my $pid = $node->safe_psql('postgres',
				"SELECT pid FROM pg_stat_activity WHERE backend_type = 'mediastore worker' AND datname = '$database'");
			return $pid if $pid ne '';
			usleep(10_000);
		}
	}
	die "no worker comes to $database";
}

sub no_worker_left
{
	my ($node, $name) = @_;
	return is(
		wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mediastore worker'}, 0, 5),
		0, $name);
}

my $launchers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mediastore launcher'};
my $state = 'SELECT DISTINCT state FROM mediastore.worker';

# --- no process left -------------------------------------------------------
sub no_process_left
{
	my $node = new_node('none_left');

	$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
	is(wait_for($node, 'postgres', $state, 'no worker process left'), 'no worker process left', 'R9: the view says so');
	usleep(7_000_000);
	my $log = slurp_file($node->logfile);
	like($log, qr/WARNING:  no background process is left for a worker of mediastore\n.*HINT:  You may need to increase max_worker_processes/,
		'R9: the log, too');
	is(() = $log =~ /no background process is left/g, 1, 'R9: once');
	$node->safe_psql('postgres', $leave_work);
	$node->safe_psql('postgres', 'CALL media_drain()');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.change'), 0, 'R9: media_drain does the work');
	$node->stop;
}

# --- a standby -------------------------------------------------------------
sub a_standby
{
	my $primary = new_node('primary', allows_streaming => 1);
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$primary->start;
	$primary->safe_psql('postgres', 'CREATE EXTENSION mediastore');
	$primary->backup('copy');
	$standby->init_from_backup($primary, 'copy', has_streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', $launchers), 0, 'R10: no launcher on a standby');
	is($standby->safe_psql('postgres', $state), 'standby', 'R10: the view says so');
	my ($code, $stdout, $stderr) = $standby->psql('postgres', 'CALL media_drain()');
	like($stderr, qr/cannot execute media_drain in a read-only transaction|cannot execute media_drain during recovery/, 'R10: media_drain is refused');

	# what the primary has left undone
	$primary->append_conf('postgresql.conf', 'mediastore.enabled = off');
	$primary->reload;
	is(wait_for($primary, 'postgres', $state, 'disabled'), 'disabled', 'the primary does nothing more');
	$primary->safe_psql('postgres', $leave_work);
	$primary->wait_for_catchup($standby);
	$primary->stop;
	$standby->promote;
	is(wait_for($standby, 'postgres', $launchers, 1), 1, 'R10: a launcher after promotion');
	worked($standby, 'postgres', 'R10: and a worker');
	$standby->stop;
}

# --- a binary upgrade ------------------------------------------------------
sub a_binary_upgrade
{
	my $node = new_node('upgrade');

	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
	$node->stop;
	command_ok([ 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b --cluster-name=upgrade', 'start' ],
		'R11: a start for a binary upgrade');
	$node->_update_pid(1);
	is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), 'mediastore', 'R11: the module is preloaded');
	usleep(1_000_000);
	is($node->safe_psql('postgres', $launchers), 0, 'R11: but has no launcher');
	$node->stop;
}

# --- with nothing preloaded ------------------------------------------------
{
	my $node = PostgreSQL::Test::Cluster->new('alone');
	my ($stdout, $stderr);

	$node->init;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
	is($node->safe_psql('postgres', $launchers), 0, 'R1: without preload, there is no launcher');
	is($node->safe_psql('postgres', $state), 'not preloaded', 'R1: and the view says so');
	like($node->safe_psql('postgres', 'SELECT waiting FROM mediastore.worker'), qr/shared_preload_libraries/, 'R1: and why');
	$node->safe_psql('postgres', $leave_work);
	$node->safe_psql('postgres', 'CALL media_drain()');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.change'), 0, 'media_drain does the work');
	$node->safe_psql('postgres', $leave_work);
	$node->safe_psql('postgres', 'DO $$BEGIN CALL media_drain(); PERFORM 1; CALL media_drain(); END$$');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM mediastore.change'), 0, 'also where it is called by a block');
	$node->psql('postgres', 'BEGIN; CALL media_drain()', stderr => \$stderr);
	like($stderr, qr/media_drain cannot run inside a transaction block/, 'media_drain commits, so it must be by itself');
	$node->psql('postgres', q{CALL media_drain('-1 s')}, stderr => \$stderr);
	like($stderr, qr/must not be negative/, 'media_drain checks its timeout');
	$node->safe_psql('postgres', 'CREATE ROLE somebody');
	$node->psql('postgres', 'SET ROLE somebody; CALL media_drain()', stderr => \$stderr);
	like($stderr, qr/permission denied for procedure media_drain/, 'media_drain is not for everybody');
	$node->psql('postgres', 'SET ROLE somebody; TABLE mediastore.worker', stderr => \$stderr);
	like($stderr, qr/permission denied for view worker/, 'nor is the view');
	is($node->safe_psql('postgres', 'SET ROLE pg_monitor; SELECT count(*) FROM mediastore.worker'), 1, 'pg_monitor may look');
	$node->stop;
}

# --- preloaded -------------------------------------------------------------
my $node = new_node('life');
$node->start;
is(wait_for($node, 'postgres', $launchers, 1), 1, 'R1: with preload, there is a launcher');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = \'mediastore launcher\'');
usleep(200_000);
is(wait_for($node, 'postgres', $launchers, 1, 10), 1, 'R1: it comes again');

# --- databases -------------------------------------------------------------
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(app1 app2 empty);
foreach my $database (qw(app1 app2))
{
	$node->safe_psql($database, 'CREATE EXTENSION mediastore');
	$node->safe_psql($database, "BEGIN; $leave_work COMMIT");
}
worked($node, $_, "R3: a worker comes to $_") foreach qw(app1 app2);
$node->safe_psql('postgres', 'CREATE DATABASE pattern TEMPLATE app1');
# a new database is looked at; that has to be over before it is left work unsaid
is(wait_for($node, 'pattern', $state, 'idle'), 'idle', 'R3: a worker looks at a new database');
no_worker_left($node, 'R4: workers leave');
$node->safe_psql('pattern', q{INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'pg_class')});
is($node->safe_psql('app1', $state), 'idle', 'the view says that nothing is to be done');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE pattern');
worked($node, 'copy', 'R3: a worker comes to the copy of a database, unasked');
is($node->safe_psql('pattern', 'SELECT count(*) FROM mediastore.change'), 1, 'and not to where nothing has been committed');
$node->safe_psql('postgres', 'ALTER DATABASE pattern IS_TEMPLATE true');
$node->restart;
worked($node, 'app1', 'R3: after a restart');
usleep(1_000_000);
is($node->safe_psql('pattern', 'SELECT count(*) FROM mediastore.change'), 1, 'R3: no worker goes to a template');
$node->safe_psql('postgres', 'ALTER DATABASE pattern IS_TEMPLATE false');
worked($node, 'pattern', 'R3: until it is none any more');
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
$node->safe_psql('pattern', q{INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'pg_class')});
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mediastore'");
$node->start;
worked($node, 'pattern', 'R3: the launcher looks into all databases at its start');
no_worker_left($node, 'R4: workers leave again');

# --- waking ----------------------------------------------------------------
{
	my $begin = time;

	$node->safe_psql('app1', "BEGIN; $leave_work ROLLBACK");
	$node->safe_psql('app1', "BEGIN; $leave_work PREPARE TRANSACTION 'one'");
	usleep(500_000);
	is($node->safe_psql('app1', 'SELECT count(*) FROM mediastore.change'), 0, 'R18: nothing is seen of a prepared transaction');
	$node->safe_psql('app1', "COMMIT PREPARED 'one'");
	worked($node, 'app1', 'R18: COMMIT PREPARED wakes the worker', 5);

	no_worker_left($node, 'R18: it leaves');
	my ($launcher) = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'mediastore launcher'});
	my $maps = slurp_file("/proc/$launcher/maps");
	ok($maps =~ /mediastore/ && $maps !~ /libcurl/, 'R20: the module is in the server, the network library is not');
	my $counters = q{SELECT string_agg(xact_commit + xact_rollback || '', ' ' ORDER BY datname) FROM pg_stat_database WHERE datname IN ('app1', 'app2', 'copy')};
	usleep(1_500_000);
	my ($before, $switches) = ($node->safe_psql('postgres', $counters), status_of($launcher, 'voluntary_ctxt_switches'));

	# other servers have their turn meanwhile
	my $until = time + 10;
	no_process_left();
	a_standby();
	a_binary_upgrade();
	usleep(($until - time) * 1_000_000) if time < $until;
	is($node->safe_psql('postgres', $counters), $before, 'R18: no transaction in 10 idle seconds');
	cmp_ok(status_of($launcher, 'voluntary_ctxt_switches') - $switches, '<=', 1, 'R18: the launcher sleeps');
}

# --- statements that need a database to themselves -------------------------
sub takes_less
{
	my ($name, $database, $statement) = @_;
	my $begin = time;
	my ($code, $stdout, $stderr) = $node->psql('postgres', $statement);

	is($code, 0, "R4: $name with a worker there") or diag $stderr;
	return cmp_ok(time - $begin, '<', 2, "R4: $name is not kept waiting");
}

{
	my $folder = PostgreSQL::Test::Utils::tempdir();

	$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$folder'");
	worker_in($node, 'app2');
	takes_less('ALTER DATABASE SET TABLESPACE', 'app2', 'ALTER DATABASE app2 SET TABLESPACE elsewhere');
	worker_in($node, 'app2');
	takes_less('CREATE DATABASE TEMPLATE', 'app2', 'CREATE DATABASE app3 TEMPLATE app2');
	worker_in($node, 'app2');
	takes_less('ALTER DATABASE RENAME', 'app2', 'ALTER DATABASE app2 RENAME TO app4');
	$node->safe_psql('app4', "BEGIN; $leave_work COMMIT");
	worked($node, 'app4', 'R4: a worker comes again when it is over');
	worker_in($node, 'app4');
	takes_less('DROP DATABASE', 'app4', 'DROP DATABASE app4');

	# one that has no right to it does not send the worker away
	$node->safe_psql('postgres', 'CREATE ROLE somebody');
	my $pid = worker_in($node, 'app3');
	$node->psql('postgres', 'SET ROLE somebody; DROP DATABASE app3');
	ok(!gone($pid), 'R4: nobody else can send a worker away');
}

# --- a drop by force -------------------------------------------------------
{
	worker_in($node, 'app3');
	my $begin = time;
	$node->safe_psql('postgres', 'DROP DATABASE app3 WITH (FORCE)');
	cmp_ok(time - $begin, '<', 2, 'R2: DROP DATABASE FORCE');
	my $log_length = -s $node->logfile;
	usleep(5_500_000);
	is(substr(slurp_file($node->logfile), $log_length), '', 'R2: and nothing in the log after it');
}

# --- a worker that is ended ------------------------------------------------
{
	my $pid = worker_in($node, 'copy');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	wait_gone($pid);
	is(wait_for($node, 'copy', $state, 'failed', 2), 'failed', 'R2: a worker that was ended rests');
	$node->safe_psql('copy', "BEGIN; $leave_work COMMIT");
	usleep(2_000_000);
	is($node->safe_psql('copy', 'SELECT count(*) FROM mediastore.change'), 1, 'R2: for some seconds');
	worked($node, 'copy', 'R2: then it goes on');
	is(wait_for($node, 'copy', $state, 'idle', 5), 'idle', 'R2: and the failure is forgotten');
	is($node->safe_psql('copy', 'SELECT last_error IS NULL FROM mediastore.worker'), 't', 'R2: altogether');
}

# --- the extension comes and goes ------------------------------------------
{
	my $begin = time;
	$node->safe_psql('empty', 'CREATE EXTENSION mediastore; DROP EXTENSION mediastore') foreach 1 .. 20;
	cmp_ok(time - $begin, '<', 30, 'R32: CREATE and DROP EXTENSION twenty times');
	$node->safe_psql('empty', 'CREATE EXTENSION mediastore');
	worker_in($node, 'empty');
	$node->safe_psql('empty', 'BEGIN; DROP EXTENSION mediastore; ROLLBACK');
	$node->safe_psql('empty', "BEGIN; $leave_work COMMIT");
	worked($node, 'empty', 'R32: DROP EXTENSION rolled back leaves a worker');
	my $pid = worker_in($node, 'empty');
	$node->safe_psql('empty', 'DROP EXTENSION mediastore');
	ok(wait_gone($pid, 5), 'R32: DROP EXTENSION makes the worker leave');

	$node->append_conf('postgresql.conf', 'mediastore.enabled = off');
	$node->reload;
	is(wait_for($node, 'app1', $state, 'disabled'), 'disabled', 'R32: the kill switch is seen');
	$node->safe_psql('app1', "BEGIN; $leave_work COMMIT");
	usleep(1_500_000);
	is($node->safe_psql('app1', 'SELECT count(*) FROM mediastore.change'), 1, 'R32: no worker comes');
	$node->append_conf('postgresql.conf', 'mediastore.enabled = on');
	$node->reload;
	worked($node, 'app1', 'R32: until it is on again');
}

# --- more databases than workers -------------------------------------------
{
	my @databases = map { "many$_" } 1 .. 4;

	$node->append_conf('postgresql.conf', 'mediastore.max_workers = 1');
	$node->reload;
	$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE app1") foreach @databases;
	$node->safe_psql($_, "BEGIN; $leave_work COMMIT") foreach @databases;
	worked($node, $_, "one worker sees to $_ in its turn") foreach @databases;
}

# --- a store that is paused ------------------------------------------------
{
	my $folder = PostgreSQL::Test::Utils::tempdir();

	$node->safe_psql('postgres', 'CREATE DATABASE paused');
	$node->safe_psql(
		'paused', qq{
		CREATE EXTENSION mediastore;
		CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '$folder', public_url 'https://cdn.example.com');
		SELECT media_pause('files');
		CREATE TABLE picture (id int PRIMARY KEY, data bytea, url text);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON picture FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=files', 'url_column=url');
		INSERT INTO picture SELECT i, 'the same' FROM generate_series(1, 450) AS i;
		INSERT INTO picture SELECT i, i::text::bytea FROM generate_series(451, 900) AS i});
	worked($node, 'paused', 'what is for a paused store is noted');
	no_worker_left($node, 'and nobody stays for it, however many rows wait');
	$node->safe_psql('paused', "SELECT media_resume('files')");
	is(wait_for($node, 'paused', 'SELECT count(*) FROM picture WHERE url IS NULL', 0, 60), 0, 'later all of them are told');

	# more than a look folds, and nobody to wake the worker again
	$node->safe_psql(
		'paused', q{
		CREATE TABLE many (id int PRIMARY KEY, data bytea);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON many FOR EACH ROW EXECUTE FUNCTION media_push_trigger('data', 'server=files');
		CREATE TRIGGER push_truncate AFTER TRUNCATE ON many FOR EACH STATEMENT EXECUTE FUNCTION media_push_trigger('data', 'server=files');
		INSERT INTO many SELECT i, 'of many' FROM generate_series(1, 80000) AS i});
	is(wait_for($node, 'paused', 'SELECT count(*) FROM mediastore.change', 0, 120), 0, 'many rows of one content');
	no_worker_left($node, 'the worker leaves');
	$node->safe_psql('paused', q{TRUNCATE many; INSERT INTO picture VALUES (0, 'after many')});
	is(wait_for($node, 'paused', 'SELECT count(*) FROM mediastore.change', 0, 60), 0, 'the end of many rows, and what came after it');
	is($node->safe_psql('paused', q{SELECT count(*) FROM mediastore.attachment WHERE relation = 'many'::regclass}), 0, 'none is left');
}

# --- the server's end ------------------------------------------------------
{
	$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_standby_names = \'nobody\'');
	$node->reload;
	my $psql = $node->background_psql('app1');
	$psql->query_safe('SET synchronous_commit = local; SET client_min_messages = error');
	$psql->query_safe("BEGIN; $leave_work COMMIT");
	$psql->quit;
	wait_for($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mediastore worker'}, 1, 5);
	my $begin = time;
	$node->stop('fast');
	cmp_ok(time - $begin, '<', 2, 'R5: a fast stop');
	unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|server process .* exit code [^1]/, 'and nothing has crashed');
}

# --- the server's sudden end -----------------------------------------------
{
	$node->start;
	is(wait_for($node, 'postgres', $launchers, 1), 1, 'R7: a launcher');
	my ($launcher) = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'mediastore launcher'});
	my $worker = worker_in($node, 'app1');
	$node->kill9;
	ok(wait_gone($_, 5), 'R7: it does not outlive the postmaster') foreach $launcher, $worker;
}

done_testing();
