# The life of a codec process: what it is started with, that it is used
# again, and that it never outlives its backend.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $picture = MediastoreTest::hex(jpeg());
my $compress = "SELECT media_format(media_compress($picture))";
my $node = start_node('life', build_folder());
my ($session, $backend, $codec);

# A session with a codec.
sub open_session
{
	$session = $node->background_psql('postgres');
	$backend = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe($compress);
	$codec = helper_pid($session);
	return;
}

# started at first need, then used again
$session = $node->background_psql('postgres');
is($session->query_safe('SELECT count(*) FROM helper()'), '0', 'no codec without need');
is($session->query_safe($compress), 'webp', 'a picture is compressed');
$codec = helper_pid($session);
is(status_of($codec, 'PPid'), $session->query_safe('SELECT pg_backend_pid()'), 'its parent is the backend');
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
is(slurp_file("/proc/$codec/oom_score_adj"), "1000\n", 'the first to go when memory is short');
$session->quit;
ok(wait_gone($codec), 'gone when its session quits');

# what it inherits, as it tells itself
{
	my $folder = rogue_folder();
	my $witness = start_node('witness', $folder);
	my $testimony;

	append_to_file("$folder/witness", '');
	local $ENV{PGAPPNAME} = 'secret';
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

# ends
open_session();
$node->safe_psql('postgres', "SELECT pg_terminate_backend($backend)");
ok(wait_gone($codec), 'gone when its backend is terminated');
eval { $session->quit; };

open_session();
$session->query_safe("ALTER SYSTEM SET mediastore.helper_idle = 1; SELECT pg_reload_conf()");
$session->query_safe('SELECT pg_sleep(0.1)');
$session->query_safe($compress);
my $idle = helper_pid($session);
isnt($idle, $codec, 'another setting, another codec');
ok(wait_gone($idle, 5), 'gone when it has been idle');
is($session->query_safe('SELECT count(*) FROM helper()'), '0', 'the view knows');
ok(!-d "/proc/$idle", 'and nothing is left of it');
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

open_session();
kill 'KILL', $backend;
ok(wait_gone($codec), 'gone when its backend is killed');
eval { $session->quit; };
$node->poll_query_until('postgres', 'SELECT true');

open_session();
$node->stop('immediate');
ok(wait_gone($codec), 'gone when the server is stopped at once');
eval { $session->quit; };

$node->start;
open_session();
$node->kill9;
ok(wait_gone($codec), 'gone when the postmaster is killed');
eval { $session->quit; };

done_testing();
