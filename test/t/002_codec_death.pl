# The ways a codec process can end, or worse, when a picture has taken it
# over: each is an error of the statement, and of nothing else.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = rogue_folder();
my $node = start_node('death', $folder);
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $good = 'SELECT media_format(media_compress(' . MediastoreTest::hex(jpeg()) . '))';
my $backend = backend_pid($session);

# Another session.  A server that restarts after a crash ends it, and its table.
my $bystander = $node->background_psql('postgres');
$bystander->query_safe('CREATE TEMPORARY TABLE memory AS SELECT pg_backend_pid() AS pid');

# A function that reports its error as a row.
$session->query_safe(q{
	CREATE FUNCTION attempt(data bytea, animation text DEFAULT 'keep', box text[] DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		message text;
		hint text;
	BEGIN
		IF box IS NOT NULL THEN
			RETURN media_format(media_thumbnail(data, box[1]::int, box[2]::int, coalesce(box[3], 'inside')));
		END IF;
		RETURN media_format(media_compress(data, animation => animation));
	EXCEPTION WHEN OTHERS OR query_canceled THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		RETURN sqlstate || ': ' || message || CASE WHEN hint <> '' THEN ' (' || hint || ')' ELSE '' END;
	END $$
});

# The picture that has the codec do something.
sub rogue
{
	my ($word) = @_;
	return MediastoreTest::hex(jpeg() . "ROGUE:$word");
}

# One way, and that all is well afterwards.
sub meets
{
	my ($word, $expected, $setting) = @_;
	my $pid = helper_pid($session);

	$session->query_safe("SET $setting") if $setting;
	like($session->query_safe('SELECT attempt(' . rogue($word) . ')'), $expected, "$word: an error");
	is($session->query_safe($good), 'webp', "$word: the next call works");
	isnt(helper_pid($session), $pid, "$word: with another codec");
	ok(wait_gone($pid), "$word: and without the first");
	$session->query_safe('RESET ALL') if $setting;
	return;
}

is($session->query_safe($good), 'webp', 'a rogue is as good as any, to begin with');
my $seccomp = $session->query_safe('SELECT sandboxed FROM helper()') eq 't';

# it ends
meets('segfault', qr/^58000: codec process was terminated by signal 11: .* \(The picture may be damaged/);
meets('abort', qr/^58000: codec process was terminated by signal 6: /);
meets('exit', qr/^58000: codec process ended in the middle of its work \(exit status 7\)/);
meets('exit-0', qr/^58000: codec process ended in the middle of its work \(exit status 0\)/);
meets('bus', qr/^58000: codec process was terminated by signal \d+: Bus error/);
meets('killed', qr/^58000: codec process was killed \(The system may be short of memory/);

# it does not end
meets('spin', qr/^54000: codec process took longer than 300 ms \(The limit is set by "mediastore.codec_timeout"/,
	'mediastore.codec_timeout = 300');
meets('stop', qr/^54000: codec process took longer than 300 ms/, 'mediastore.codec_timeout = 300');
meets('spin', qr/^57014: canceling statement due to statement timeout/, 'statement_timeout = 300');
meets('stop', qr/^57014: canceling statement due to statement timeout/, 'statement_timeout = 300');

# it says what it must not
foreach my $word (
	qw(garbage short-frame long-frame version kind number status unchanged no-result offset overflow length too-long no-webp))
{
	meets($word, qr/^58000: codec process broke the protocol/);
}
meets($_, qr/^58000: codec process broke the protocol \(The picture may be damaged/) foreach qw(empty-frame goodbye);
meets('hang-up',
	$seccomp
	? qr/^58000: codec process tried something its sandbox forbids/
	: qr/^58000: codec process broke the protocol/);

# an animation is not fine as it is when only its first picture is wanted
{
	my $animation = MediastoreTest::hex(fixture('animated.webp'));
	my $pid;

	is($session->query_safe('SELECT attempt(' . rogue('then-unchanged') . ')'), 'webp', 'unchanged: armed');
	is($session->query_safe("SELECT media_compress($animation) = $animation"), 't', 'unchanged: kept as it is');
	is($session->query_safe('SELECT attempt(' . rogue('then-unchanged') . ')'), 'webp', 'unchanged: armed once more');
	$pid = helper_pid($session);
	like($session->query_safe("SELECT attempt($animation, 'first')"),
		qr/^58000: codec process broke the protocol/, 'unchanged: not if only the first picture is wanted');
	is($session->query_safe($good), 'webp', 'unchanged: the next call works');
	isnt(helper_pid($session), $pid, 'unchanged: with another codec');
}

# nor is a picture that is not of a thumbnail's size
{
	my $picture = MediastoreTest::hex(fixture('logo-alpha.webp'));
	# 300 x 300; is it what was asked for?
	foreach my $case (
		[ 1, '300' ],
		[ 1, '300, 300, fill' ],
		[ 0, '299' ],
		[ 0, '300, 299' ],
		[ 0, '299, 300, cover' ],
		[ 0, '301, 300, contain' ],
		[ 0, '300, 301, fill' ])
	{
		my ($may, $box) = @$case;

		is($session->query_safe('SELECT attempt(' . rogue('then-unchanged') . ')'), 'webp', "size: armed for $box");
		like(
			$session->query_safe("SELECT attempt($picture, box => '{$box}')"),
			$may ? qr/^webp$/ : qr/^58000: codec process broke the protocol/,
			"size: $box");
	}
	is($session->query_safe($good), 'webp', 'size: the next call works');
}

# A message is text, and the name of a limit too: both are made printable,
# ended, and never taken for a format.
{
	my $answer = $session->query_safe('SELECT attempt(' . rogue('message') . ')');
	my $text = '%n%s???' x 40;
	is( $answer,
		'54000: could not compress image: ' . substr($text, 0, 199)
		  . ' (The limit is set by the option "' . substr($text, 0, 31) . '".)',
		'message: printable, and ended');
	is($session->query_safe($good), 'webp', 'message: the next call works');
}

# it greets as it must not: there is a new codec for each
foreach my $word (qw(magic version number result short-frame empty-frame silent late))
{
	my $file = "$folder/hello";
	my $answer;

	$session->query_safe("SET mediastore.helper_idle = '1h'");
	append_to_file($file, $word);
	$session->query_safe('SET statement_timeout = 500') if $word eq 'silent';
	$answer = $session->query_safe('SELECT attempt(' . MediastoreTest::hex(jpeg()) . ')');
	if ($word eq 'late') { is($answer, 'webp', 'greeting late: is waited for'); }
	elsif ($word eq 'silent') { like($answer, qr/^57014: /, 'greeting silent: can be cancelled'); }
	else { like($answer, qr/^58000: codec process broke the protocol/, "greeting $word: an error"); }
	unlink $file;
	is($session->query_safe('SELECT count(*) FROM helper()'), $word eq 'late' ? '1' : '0', "greeting $word: is remembered or not");
	$session->query_safe('RESET ALL');
	is($session->query_safe($good), 'webp', "greeting $word: the next call works");
}

# it takes the memory it shares with the backend: given back with the answer
{
	is($session->query_safe('SELECT attempt(' . rogue('dirty') . ')'), 'webp', 'dirty: answered');
	my ($peak) = status_of(helper_pid($session), 'VmHWM') =~ /^(\d+)/;
	cmp_ok($peak, '>=', 64 * 1024, 'dirty: it took it');
	cmp_ok(arena_bytes($backend), '<=', 16 * 1024 * 1024, 'dirty: little is left');
	is($session->query_safe($good), 'webp', 'dirty: the next call works');
}

# it wants all the memory: no more than it may have
{
	my $pid;
	$session->query_safe("SET mediastore.codec_memory = '100MB'");
	is($session->query_safe($good), 'webp', 'devour: a codec with little memory');
	$pid = helper_pid($session);
	is($session->query_safe('SELECT attempt(' . rogue('devour') . ')'),
		'53200: could not compress image: out of memory (The limit is set by "mediastore.codec_memory".)',
		'devour: an error');
	is($session->query_safe($good), 'webp', 'devour: the next call works');
	isnt(helper_pid($session), $pid, 'devour: with another codec');
	ok(wait_gone($pid), 'devour: and without the first');
	$session->query_safe('RESET ALL');
}

# it does what the sandbox forbids
SKIP:
{
	skip 'this system has no seccomp', 1 unless $seccomp;
	foreach my $word (
		qw(open create unlink read-other socket-inet socket-unix connect fork exec kill-parent ptrace executable
		make-executable raise-limit))
	{
		meets($word, qr/^58000: codec process tried something its sandbox forbids/);
	}
}

# nobody else has noticed
is(backend_pid($session), $backend, 'the session is the same');
is($session->query_safe("SELECT count(*) FROM helper()"), '1', 'one codec is left');
is($bystander->query_safe('SELECT pid = pg_backend_pid() FROM memory'), 't', 'so is another');
$bystander->quit;
$session->quit;
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /database system is ready to accept connections/g), 1, 'the server started once');
unlike(
	$log,
	qr/server process \(PID \d+\) (was terminated|exited)|terminating any other active server processes|all server processes terminated|reinitializing|PANIC/,
	'the server never restarted');

# a program that is not there, or not what it should be
my $empty = PostgreSQL::Test::Utils::tempdir();
system_or_bail('cp', build_folder() . '/mediastore.so', "$empty/");
my $missing = start_node('missing', $empty);
my ($status, $out, $err) = $missing->psql('postgres', "\\set VERBOSITY verbose\n$good");
like($err, qr/53000: could not start program "mediastore-codec": No such file or directory/, 'no program: an error');
like($err, qr/HINT:  It is installed beside the module, in "\Q$empty\E"/, 'no program: where it should be');
append_to_file("$empty/mediastore-codec", "#!/bin/sh\nexit 3\n");
chmod 0755, "$empty/mediastore-codec";
($status, $out, $err) = $missing->psql('postgres', "\\set VERBOSITY verbose\n$good");
like($err, qr/53000: codec process could not start \(exit status 3\)/, 'another program: an error');
unlink "$empty/mediastore-codec";
append_to_file("$empty/mediastore-codec", "#!/bin/sh\nexec sleep 1000\n");
chmod 0755, "$empty/mediastore-codec";
($status, $out, $err) = $missing->psql('postgres', "SET statement_timeout = 500; $good");
like($err, qr/canceling statement due to statement timeout/, 'a program that does not answer can be cancelled');

done_testing();
