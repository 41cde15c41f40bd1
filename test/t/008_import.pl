# Files that are imported, and those that must not be: by what they are and
# where they lie.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Cwd;
use Socket;
use Test::More;

# of <linux/prctl.h> and <linux/seccomp.h>
use constant { PR_SET_NO_NEW_PRIVS => 38, PR_SET_SECCOMP => 22, SECCOMP_MODE_FILTER => 2 };
use constant OPENAT2 => 437;

my $node = PostgreSQL::Test::Cluster->new('import');
$node->init;
$node->append_conf('postgresql.conf', 'jit = off');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');

# a folder with all kinds of things, and a neighbour
my $parent = PostgreSQL::Test::Utils::tempdir();
my $root = "$parent/root";
mkdir $_ or die "$_: $!" foreach $root, "$root/folder", "$root/folder/deep", "$root/closed", "$parent/rootless";
append_to_file("$root/jpeg", jpeg());
append_to_file("$root/folder/deep/jpeg", jpeg());
append_to_file("$root/secret", jpeg());
append_to_file("$root/closed/jpeg", jpeg());
append_to_file("$root/large", 'x' x 100_001);
append_to_file("$root/empty", '');
append_to_file("$parent/outside", jpeg());
append_to_file("$parent/rootless/jpeg", jpeg());
chmod 0, "$root/secret", "$root/closed";
POSIX::mkfifo("$root/pipe", 0600) or die $!;
{
	# by a relative name: an absolute one is too long for a socket's address
	my $here = getcwd();
	chdir $root or die $!;
	socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die $!;
	bind($socket, sockaddr_un('socket')) or die $!;
	chdir $here or die $!;
}
my %links = (
	inside => 'jpeg',
	'folder/up' => '../jpeg',
	'folder/upfolder' => '../folder/deep',
	outside => '../outside',
	absolute => "$root/jpeg",
	'folder/outside' => '../../outside',
	parent => '..',
	neighbour => '../rootless',
	round => 'round',
	broken => 'nothing',
	proc => '/proc/self/root/etc/passwd');
symlink $links{$_}, "$root/$_" or die "$_: $!" foreach keys %links;

# What becomes of a path.
my %expected = (
	'jpeg' => 'jpeg',
	'/jpeg' => 'jpeg',
	'///folder//deep///jpeg' => 'jpeg',
	'./folder/./deep/jpeg' => 'jpeg',
	'inside' => 'jpeg',
	'folder/up' => 'jpeg',
	'folder/upfolder/jpeg' => 'jpeg',
	'empty' => 'empty',
	'missing' => '58P01',
	'missing/jpeg' => '58P01',
	'jpeg/jpeg' => '58P01',
	'broken' => '58P01',
	'secret' => '42501',
	'closed/jpeg' => '42501',
	'outside' => '42501',
	'absolute' => '42501',
	'folder/outside' => '42501',
	'parent/outside' => '42501',
	'neighbour/jpeg' => '42501',
	'proc' => '42501',
	'round' => '42501',
	'' => '22023',
	'/' => '22023',
	'..' => '22023',
	'../outside' => '22023',
	'folder/../jpeg' => '22023',
	'folder/..' => '22023',
	"$parent/outside" => '58P01',
	'folder' => '42809',
	'.' => '42809',
	'folder/' => '42809',
	'pipe' => '42809',
	'socket' => '42809',
	'large' => '54000');

sub quoted
{
	my ($text) = @_;
	return "'" . $text =~ s/'/''/gr . "'";
}

# How many files of the folder, and folders, a backend has open.
sub open_files
{
	my ($pid) = @_;
	return scalar grep { (readlink($_) // '') =~ /^\Q$parent\E/ } glob("/proc/$pid/fd/*");
}

# Imports them all, and compares what came of each.
sub check_paths
{
	my ($what, %paths) = @_;
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS photo; CREATE TABLE photo (path text PRIMARY KEY, data bytea);'
		  . join '', map { "INSERT INTO photo VALUES (" . quoted($_) . ");" } sort keys %paths);
	my $session = $node->background_psql('postgres');
	my $pid = backend_pid($session);
	$session->query_safe('SET client_min_messages = warning; SET mediastore.max_input_bytes = 100000');
	$session->query_safe("CALL media_import('photo', 'path', 'data', '$root', dry_run => true)");
	my %dry = map { split /\|/, $_, 2 } split /\n/, $session->query_safe(q{SELECT (row_key ->> 'path') || '|' || sqlstate FROM mediastore.failure});
	$session->query_safe("CALL media_import('photo', 'path', 'data', '$root')") foreach 1, 2;
	is(open_files($pid), 0, "$what: no file stays open");
	my %got = map { split /\|/, $_, 2 } split /\n/, $session->query_safe(
		q{SELECT path || '|' || coalesce(media_format(data), CASE data WHEN '' THEN 'empty' END, sqlstate, 'nothing')
		FROM photo LEFT JOIN mediastore.failure ON row_key ->> 'path' = path});
	is_deeply(\%got, \%paths, "$what: each path") or diag(explain \%got);
	is_deeply(\%dry, { map { $_ => $paths{$_} } grep { $paths{$_} =~ /^\d/ } keys %paths }, "$what: the same without doing it");
	unlike($session->query_safe('SELECT string_agg(message, chr(10)) FROM mediastore.failure WHERE strpos(row_key ->> \'path\', \'/\') <> 1'),
		qr/\Q$parent\E/, "$what: no error tells where the folder is");
	$session->quit;
	return;
}

check_paths('openat2', %expected);

# the root itself may be a link
symlink $root, "$parent/link" or die $!;
$node->safe_psql('postgres', qq{UPDATE photo SET data = NULL; SET client_min_messages = warning; CALL media_import('photo', 'path', 'data', '$parent/link/')});
is($node->safe_psql('postgres', q{SELECT media_format(data) FROM photo WHERE path = 'jpeg'}), 'jpeg', 'the folder may be a link');

# files that are more than an array holds are not read to find that out
append_to_file("$root/sparse", '');
truncate "$root/sparse", 100_000_000 or die $!;
$node->safe_psql('postgres', qq{
	CREATE TABLE album (id int PRIMARY KEY, paths text[], data bytea[]);
	INSERT INTO album VALUES (1, array_fill('sparse'::text, '{1000}')), (2, array_fill('sparse'::text, '{10}'));
	SET client_min_messages = warning;
	CALL media_import('album', 'paths', 'data', '$root', dry_run => true)});
is($node->safe_psql('postgres', q{SELECT row_key, element, sqlstate, message FROM mediastore.failure WHERE relation = 'album'::regclass}),
	'{"id": 1}|11|54000|files are too large for an array: more than 1073741823 bytes', 'too much for an array');
$node->safe_psql('postgres', 'DROP TABLE album');
unlink "$root/sparse" or die $!;

# what it says
{
	my ($stdout, $stderr);

	$node->safe_psql('postgres', q{DROP TABLE photo; CREATE TABLE photo (id int PRIMARY KEY, path text, data bytea);
		INSERT INTO photo VALUES (1, 'jpeg'), (2, 'missing'), (3, 'inside')});
	$node->psql('postgres', "CALL media_import('photo', 'path', 'data', '$root', 2, true)", stdout => \$stdout, stderr => \$stderr);
	like($stderr, qr/NOTICE: +column "data" of relation "photo" is not attached: files are stored as they are$/m, 'what is to be known before');
	like($stderr, qr/NOTICE: +import \(dry run\) of public\.photo\.data: 2 of 3 rows, [\d.]+ rows\/s, \d+ s left, \d+ bytes, 1 failed$/m, 'dry run');
	like($stderr, qr/NOTICE: +import \(dry run\) of public\.photo\.data: finished: 2 of 3 rows could be imported, \d+ bytes, 1 failed, 0 locked, in [\d.]+ s$/m,
		'and its summary');
	is($node->safe_psql('postgres', 'SELECT count(data) FROM photo'), 0, 'nothing was done');
	$node->safe_psql('postgres', q{SELECT media_attach('photo', 'data')});
	$node->psql('postgres', "CALL media_import('photo', 'path', 'data', '$root', 2)", stdout => \$stdout, stderr => \$stderr);
	unlike($stderr, qr/not attached/, 'attached');
	like($stderr, qr/NOTICE: +import of public\.photo\.data: finished: 2 of 3 rows imported, \d+ bytes -> \d+ bytes, 1 failed, 0 locked, in [\d.]+ s$/m,
		'what was done');
	like($stderr, qr/^DETAIL: +1 row failed: see mediastore\.failure\.$/m, 'and what was not');
}

# cancelled and called again
{
	my $watcher = $node->background_psql('postgres');
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = backend_pid($session);

	$node->safe_psql('postgres', q{
		TRUNCATE photo;
		INSERT INTO photo SELECT id, 'jpeg' FROM generate_series(1, 30) AS id;
		CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END';
		CREATE TRIGGER wait BEFORE UPDATE ON photo FOR EACH ROW WHEN (NEW.id = 25) EXECUTE FUNCTION wait();
	});
	$watcher->query_safe('SELECT pg_advisory_lock(42)');
	$session->query_safe('SET client_min_messages = warning');
	$session->query_until(qr/under way/, "\\echo under way\nCALL media_import('photo', 'path', 'data', '$root', 10);\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") or die;
	is($watcher->query_safe('SELECT operation, state, rows_total, rows_done, rows_changed FROM mediastore.progress ORDER BY run DESC LIMIT 1'),
		'import|running|30|20|20', 'under way');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	$session->query('SELECT 1');
	like($session->{stderr}, qr/canceling statement due to user request/, 'cancelled');
	$session->{stderr} = '';
	is(open_files($pid), 0, 'no file stays open');
	is($watcher->query_safe('SELECT count(data) FROM photo'), 20, 'batches that were finished stay');
	$watcher->query_safe('SELECT pg_advisory_unlock(42)');
	$session->query_safe("CALL media_import('photo', 'path', 'data', '$root', 10)");
	is($watcher->query_safe('SELECT count(data) FROM photo'), 30, 'all of them');
	is($watcher->query_safe('SELECT state, rows_total, rows_done, rows_changed FROM mediastore.progress ORDER BY run DESC LIMIT 1'),
		'finished|10|10|10', 'called again it did the rest');
	$_->quit foreach $session, $watcher;
}

# many files, and large ones, take the memory of one
{
	my $session = $node->background_psql('postgres');
	my $pid = backend_pid($session);

	append_to_file("$root/video", 'x' x 4_000_000);
	$session->query_safe(q{SET client_min_messages = warning;
		CREATE TABLE video (id int PRIMARY KEY, path text, data bytea);
		ALTER TABLE video ALTER data SET STORAGE external;
		INSERT INTO video SELECT id, 'video' FROM generate_series(1, 50) AS id});
	$session->query_safe("CALL media_import('video', 'path', 'data', '$root')");
	is($session->query_safe('SELECT count(*), min(length(data)), max(length(data)) FROM video'), '50|4000000|4000000', 'any bytes');
	my ($anonymous) = status_of($pid, 'RssAnon') =~ /^(\d+)/;
	note("$anonymous kB");
	cmp_ok($anonymous, '<=', 40 * 1024, 'in the memory of a few');
	$session->quit;
}

# where the system has no openat2, no link is followed
SKIP:
{
	my %prctl = (x86_64 => 157, aarch64 => 167, ppc64le => 171, s390x => 172, riscv64 => 167);
	my $call = $prctl{ (POSIX::uname())[4] };
	# load the number; is it that?; no such call; any other is fine
	my $filter = pack('SCCL' x 4, 0x20, 0, 0, 0, 0x15, 0, 1, OPENAT2, 0x06, 0, 0, 0x00050000 | POSIX::ENOSYS(), 0x06, 0, 0, 0x7fff0000);
	my $program = pack('Sx6P', 4, $filter);
	my %without = %expected;

	$node->stop;
	skip 'no filter of system calls here', 4
	  unless defined $call
	  && syscall($call, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
	  && syscall($call, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $program, 0, 0) == 0;
	$node->start;
	$without{$_} = '42501' foreach qw(inside folder/up folder/upfolder/jpeg broken);
	check_paths('without openat2', %without);
}

chmod 0700, "$root/closed";
done_testing();
