# A worker that ends at whatever point of its start: the server goes on, and so
# does the work (R8).
#
# Locks hold it where it is to end: one on pg_database before it is in its
# database, one on pg_extension before it has looked for the extension, one on
# the queue in its first round.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use MediastoreTest qw(wait_gone);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('stages');
my @stages = ([ 'connecting', 'pg_database' ], [ 'looking', 'pg_extension' ], [ 'working', 'mediastore.object' ]);
my $leave_work = q{
	INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'pg_class');
	ALTER EXTENSION mediastore UPDATE;
};
my $undone = 'SELECT count(*) FROM mediastore.change';

$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mediastore'\nrestart_after_crash = on\n");
$node->start;
foreach my $stage (@stages)
{
	$node->safe_psql('postgres', "CREATE DATABASE $stage->[0]");
	$node->safe_psql($stage->[0], 'CREATE EXTENSION mediastore');
}

# Waits until a condition is true, some seconds; whether it is.
sub until_true
{
	my ($condition, $seconds) = @_;
	my $end = time + ($seconds // 15);

	while (time < $end)
	{
		return 1 if $condition->();
		usleep(20_000);
	}
	return 0;
}

# Has the worker of a database stopped where a table is locked, and ends it there.
sub end_at
{
	my ($database, $table, $signal) = @_;

	until_true(sub { !defined worker_pid($node) }) or die 'a worker does not leave';
	my $session = $node->background_psql($database);
	my $other = $node->background_psql($database);
	$other->query_safe("SET client_min_messages = error");
	$other->query_safe("BEGIN; $leave_work");
	$session->query_safe("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE");
	$other->query_safe('COMMIT');
	my $pid;
	my $waits = sub {
		$pid = worker_pid($node) // return 0;
		return $session->query_safe("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") eq '1';
	};
	ok(until_true($waits), "R8: a worker that is $database waits there");
	kill $signal, $pid;
	ok(wait_gone($pid, 5), "R8: and ends by SIG$signal");
	if ($signal eq 'TERM')
	{
		$session->query_safe('COMMIT');
		$_->quit foreach $session, $other;
	}
	else
	{
		# their server processes are gone
		eval { $_->{run}->kill_kill } foreach $session, $other;
	}
	return;
}

my $begun = time;
end_at(@$_, 'TERM') foreach @stages;
foreach my $stage (@stages)
{
	my $database = $stage->[0];

	ok(until_true(sub { $node->safe_psql($database, $undone) eq '0' }, 20), "R8: what it has left $database is done by the next");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|all server processes terminated/, 'R8: no other process has suffered');

# what a killed one suffers, all do: but the server is up again, and goes on
foreach my $stage (@stages)
{
	my $database = $stage->[0];
	my $crashes = () = slurp_file($node->logfile) =~ /database system is ready to accept connections/g;

	end_at(@$stage, 'KILL');
	until_true(sub { my $now = () = slurp_file($node->logfile) =~ /database system is ready to accept connections/g; $now > $crashes }) or die 'the server does not come back';
	ok(until_true(sub { $node->safe_psql($database, $undone) eq '0' }, 20), "R8: what was left $database by a crash is done");
}
$node->stop;
is(join(' ', orphaned_couriers()), '', 'no courier is left');
done_testing();
