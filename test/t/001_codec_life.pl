# The life of a codec process: what it is started with, that it is used
# again, and that it never outlives its backend.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(usleep);

# of <linux/prctl.h>
use constant PR_SET_CHILD_SUBREAPER => 36;

my $picture = MediastoreTest::hex(jpeg());
my $compress = "SELECT media_format(media_compress($picture))";
my $node = start_node('life', build_folder());
my ($session, $backend, $codec);

# A session with a codec.
sub open_session
{
	$session = $node->background_psql('postgres');
	$backend = backend_pid($session);
	$session->query_safe($compress);
	$codec = helper_pid($session);
	return;
}

# started at first need, then used again
$session = $node->background_psql('postgres');
is($session->query_safe('SELECT count(*) FROM helper()'), '0', 'no codec without need');
is($session->query_safe($compress), 'webp', 'a picture is compressed');
$codec = helper_pid($session);
$backend = backend_pid($session);
is(status_of($codec, 'PPid'), $backend, 'its parent is the backend');
$session->query_safe($compress) for 1 .. 3;
is(helper_pid($session), $codec, 'one codec for all');
is($session->query_safe('SELECT requests FROM helper()'), '4', 'its requests are counted');

# locked in
SKIP:
{
	skip 'this system has no seccomp', 2 unless defined status_of($$, 'Seccomp');
	is($session->query_safe('SELECT sandboxed FROM helper()'), 't', 'it says it is sandboxed');
	is(status_of($codec, 'Seccomp'), '2', 'so does the system: a filter');
}
is(status_of($codec, 'NoNewPrivs'), '1', 'no new privileges');
{
	my $limits = slurp_file("/proc/$codec/limits");
	like($limits, qr/^Max core file size +0 +0 /m, 'no core dump');
	like($limits, qr/^Max open files +4 +4 /m, 'no more descriptors');
	like($limits, qr/^Max address space +\d+ +\d+ /m, 'a limit of memory');
}
{
	my $score = slurp_file("/proc/$backend/oom_score_adj") + 500;
	$score = 1000 if $score > 1000;
	is(slurp_file("/proc/$codec/oom_score_adj"), "$score\n", 'to go long before the backend when memory is short');
}
$session->quit;

# what it inherits, as it tells itself
{
	# in the server's environment, not only in a client's
	local $ENV{MEDIASTORE_SECRET} = 'secret';
	my $folder = rogue_folder();
	my $witness = start_node('witness', $folder);
	my $postmaster = postmaster_pid($witness);
	my $testimony;

	like(slurp_file("/proc/$postmaster/environ"), qr/\0MEDIASTORE_SECRET=secret\0/, 'the server has an environment');
	append_to_file("$folder/witness", '');
	is($witness->safe_psql('postgres', $compress), 'webp', 'the witness works');
	$testimony = slurp_file("$folder/witness");
	is( join("\n", grep { /^start: descriptor/ } split /\n/, $testimony),
		"start: descriptor 0 /dev/null\nstart: descriptor 1 /dev/null\nstart: descriptor 2 /dev/null\n"
		  . "start: descriptor 3 socket\nstart: descriptor 4 /memfd",
		'it starts with three descriptors to nowhere, its socket and its arena');
	is( join("\n", grep { /^locked: descriptor/ } split /\n/, $testimony),
		"locked: descriptor 0 /dev/null\nlocked: descriptor 1 /dev/null\nlocked: descriptor 2 /dev/null\n"
		  . "locked: descriptor 3 socket",
		'it works with one descriptor less');
	like($testimony, qr/^start: environment 0$/m, 'an empty environment');
	like($testimony, qr/^start: session own$/m, 'a session of its own');
	like($testimony, qr/^start: blocked signals 0$/m, 'no signal blocked');
	like($testimony, qr/^start: handled signals 0$/m, 'no signal handled or ignored');
	like($testimony, qr{^locked: directory /$}m, 'no folder held');
	$witness->stop;
}

# leaves, and comes back
open_session();
$session->query_safe("ALTER SYSTEM SET mediastore.helper_idle = 1; SELECT pg_reload_conf()");
$session->query_safe('SELECT pg_sleep(0.1)');
$session->query_safe($compress);
my $idle = helper_pid($session);
isnt($idle, $codec, 'another setting, another codec');
ok(wait_gone($idle, 5), 'gone when it has been idle');
is(arena_bytes($backend), 0, 'the arena that is left holds nothing');
is($session->query_safe('SELECT count(*) FROM helper()'), '0', 'the view knows');
ok(left_nothing($idle), 'and nothing is left of it');
is($session->query_safe($compress), 'webp', 'the next call has another');
isnt(helper_pid($session), $idle, 'really another');
$session->query_safe('ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()');
$session->quit;

open_session();
kill 'KILL', $codec;
ok(wait_gone($codec), 'killed while it had nothing to do');
is($session->query_safe($compress), 'webp', 'nobody notices');
isnt(helper_pid($session), $codec, 'though it is another');
$session->quit;
$node->stop;

# Ends.  Orphans are to come to this process, which does not reap them: so a
# codec that its backend has not waited for is seen as a zombie.  (Where that
# can't be had, init may be quicker than we are.)
my %prctl = (x86_64 => 157, aarch64 => 167, ppc64le => 171, s390x => 172, riscv64 => 167);
my $machine = (POSIX::uname())[4];
my $orphanage = exists $prctl{$machine} && syscall($prctl{$machine}, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
note('zombies may pass unseen here') unless $orphanage;

# A codec that is idle ends with its socket; one that a picture has taken over
# does not, it must be ended.
$node = start_node('ends', rogue_folder());
my $spin = 'SELECT media_compress(' . MediastoreTest::hex(jpeg() . 'ROGUE:spin') . ')';

# A session with a codec that works for ever.
sub open_spinning_session
{
	my $ticks;

	open_session();
	$session->query_safe("SET client_connection_check_interval = '100ms'");
	$ticks = processor_ticks($codec);
	$session->query_until(qr/under way/, "\\echo under way\n$spin;\n");
	foreach my $try (1 .. 1000)
	{
		return if processor_ticks($codec) >= $ticks + 5;
		usleep(10_000);
	}
	die 'the codec does not spin';
}

# One way to end.  An orderly one lets the backend clean up.
sub ends
{
	my ($how, $orderly, $end) = @_;

	foreach my $state ('idle', 'spinning')
	{
		$state eq 'idle' ? open_session() : open_spinning_session();
		$end->();
		ok(wait_gone($backend), "$how, $state: the backend is gone");
		ok(wait_gone($codec), "$how, $state: so is the codec");
		ok(left_nothing($codec), "$how, $state: and nothing is left of it") if $orderly;

		# in case it is not
		kill 'KILL', $codec;
		waitpid $codec, WNOHANG;
		eval { $session->quit; };
		$node->start unless defined $node->{_pid};
		$node->poll_query_until('postgres', 'SELECT true');
	}
	return;
}

ends('client hung up', 1, sub { $session->{run}->signal('KILL') });
ends('backend terminated', 1, sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($backend)") });
ends('backend killed', 0, sub { kill 'KILL', $backend });
ends('server stopped', 1, sub { $node->stop('fast') });
ends('server stopped at once', 0, sub { $node->stop('immediate') });
ends(
	'postmaster killed',
	1,
	sub {
		my $postmaster = postmaster_pid($node);
		my @others = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

		$node->kill9;
		# nobody can start in its place before all of it is gone
		foreach my $pid ($postmaster, @others)
		{
			wait_gone($pid);
			waitpid $pid, WNOHANG;
		}
	});

# the orderly way for a client; it can't while it waits for an answer
open_session();
$session->quit;
ok(wait_gone($backend), 'session quit: the backend is gone');
ok(left_nothing($codec), 'session quit: and nothing is left of the codec');

done_testing();
