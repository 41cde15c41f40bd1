# What the TAP tests share: a server, functions from a folder of the test's
# choice, and pictures made here.
#
# The tests need no installed extension: they declare the module's functions
# themselves, so that the module (and the program beside it) can be anybody's.
package MediastoreTest;

use strict;
use warnings;
use Compress::Zlib;
use File::Basename;
use File::Copy;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Exporter 'import';
our @EXPORT = qw(build_folder rogue_folder start_node create_functions png jpeg hex
  fixture small_pictures gone wait_gone left_nothing status_of resident processor_ticks arena_bytes
  backend_pid helper_pid postmaster_pid);

# Where make has put the module and the programs.
sub build_folder
{
	return $ENV{MEDIASTORE_BUILD} || $ENV{TESTDIR} || '.';
}

# A folder with the module and the rogue program in place of the real one.
sub rogue_folder
{
	my $build = build_folder();
	my $folder = PostgreSQL::Test::Utils::tempdir();

	foreach my $file ("$build/mediastore.so", "$build/test/rogue/mediastore-codec")
	{
		my $copy = "$folder/" . basename($file);
		copy($file, $copy) or die "could not copy $file: $!";
		chmod 0755, $copy;
	}
	return $folder;
}

# A running server with the functions of the module in a folder.
sub start_node
{
	my ($name, $folder) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', "jit = off\nrestart_after_crash = on\n");
	$node->start;
	create_functions($node, $folder);
	return $node;
}

sub create_functions
{
	my ($node, $folder) = @_;

	$node->safe_psql(
		'postgres', qq{
		CREATE FUNCTION media_compress(data bytea, max_dimension int DEFAULT 1024, max_bytes int DEFAULT 500000,
			quality int DEFAULT 85, min_quality int DEFAULT 40, effort int DEFAULT 4, alpha text DEFAULT 'keep',
			lossless text DEFAULT 'auto', animation text DEFAULT 'keep') RETURNS bytea
			LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS '$folder/mediastore';
		CREATE FUNCTION media_thumbnail(data bytea, width int, height int DEFAULT NULL, fit text DEFAULT 'inside',
			quality int DEFAULT 80) RETURNS bytea
			LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS '$folder/mediastore';
		CREATE FUNCTION media_format(data bytea) RETURNS text
			LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS '$folder/mediastore';
		CREATE FUNCTION helper(OUT program text, OUT pid int, OUT sandboxed bool, OUT requests int8,
			OUT memory int8, OUT started_at timestamptz) RETURNS SETOF record
			LANGUAGE c VOLATILE STRICT AS '$folder/mediastore', 'mediastore_helpers';
	});
	return;
}

sub png_chunk
{
	my ($type, $data) = @_;
	return pack('N', length $data) . $type . $data . pack('N', crc32($type . $data));
}

# A gray PNG of any size whose bytes are few; slow to decode for its length.
sub png
{
	my ($width, $height) = @_;
	my $row = "\1" . "\1" . "\0" x ($width - 1);
	my $deflate = deflateInit(-Level => 1) or die;
	my $data = '';

	foreach my $y (1 .. $height)
	{
		my ($out, $status) = $deflate->deflate($row);
		$data .= $out;
	}
	$data .= ($deflate->flush)[0];
	return
		"\x89PNG\r\n\x1a\n"
	  . png_chunk('IHDR', pack('NNCCCCC', $width, $height, 8, 0, 0, 0, 0))
	  . png_chunk('IDAT', $data)
	  . png_chunk('IEND', '');
}

# A gray JPEG, 4:2:0, of 16 x 16 pixels.
sub jpeg
{
	return pack('H*',
			'ffd8ffdb004300' . '01' x 64
		  . 'ffc00011080010001003012200021100031100'
		  . 'ffc40026' . '0001' . '00' x 16 . '1001' . '00' x 16
		  . 'ffda000c03010002000300003f00000fffd9');
}

# Bytes as SQL.
sub hex
{
	my ($bytes) = @_;
	return "'\\x" . unpack('H*', $bytes) . "'::bytea";
}

# One of the pictures in test/data.
sub fixture
{
	my ($name) = @_;
	return slurp_file("$FindBin::RealBin/../data/$name");
}

# Those of the SQL tests, by their names.
sub small_pictures
{
	my $sql = slurp_file("$FindBin::RealBin/../../sql/include/pictures.sql");
	my %pictures;

	while ($sql =~ /^\t\('([^']+)', (?:decode\('([0-9a-f\s]*)', 'hex'\)|convert_to\('([^']*)', 'UTF8'\)|'')\)[,;]$/mg)
	{
		my ($name, $hex, $text) = ($1, $2, $3);
		$pictures{$name} = defined $hex ? pack('H*', $hex =~ s/\s//gr) : $text // '';
	}
	die 'no small pictures' if keys %pictures < 10;
	return %pictures;
}

# Anything else where a process id should be would pass for one that has ended.
sub check_pid
{
	my ($pid) = @_;
	die 'not a process id: ' . ($pid // 'undef') unless defined $pid && $pid =~ /^[1-9]\d*$/;
	return $pid;
}

# A line of /proc/PID/status, without its name; undef if there is none.
sub status_of
{
	my ($pid, $field) = @_;
	check_pid($pid);
	open my $file, '<', "/proc/$pid/status" or return;
	my ($value) = map { /^\Q$field\E:\s*(.*?)\s*$/ ? $1 : () } <$file>;
	close $file;
	return $value;
}

# Resident memory of a process, kB.
sub resident
{
	my ($pid) = @_;
	my ($kilobytes) = (status_of($pid, 'VmRSS') // '') =~ /^(\d+)/;
	die "process $pid has no memory" unless defined $kilobytes;
	return $kilobytes;
}

# The processor time a process has taken, in hundredths of a second.
sub processor_ticks
{
	my ($pid) = @_;
	my @fields = split / /, slurp_file('/proc/' . check_pid($pid) . '/stat') =~ s/^.*\) //sr;
	return $fields[11] + $fields[12];
}

# The memory that a backend's arena holds, in bytes.
sub arena_bytes
{
	my ($pid) = @_;
	my @arenas = grep { (readlink($_) // '') =~ /^\/memfd:mediastore-arena/ } glob('/proc/' . check_pid($pid) . '/fd/*');
	die "process $pid has not one arena" unless @arenas == 1;
	return (stat $arenas[0])[12] * 512;
}

# Has a process ended?  (A zombie has; who reaps it is another matter.)
sub gone
{
	my ($pid) = @_;
	my $state = status_of($pid, 'State');
	return !defined $state || $state =~ /^[ZX]/;
}

# Waits for that, some seconds.
sub wait_gone
{
	my ($pid, $seconds) = @_;
	check_pid($pid);
	foreach my $try (1 .. ($seconds // 10) * 100)
	{
		return 1 if gone($pid);
		usleep(10_000);
	}
	return 0;
}

# Is nothing left of a process, not even a zombie?
sub left_nothing
{
	my ($pid) = @_;
	return !-d '/proc/' . check_pid($pid);
}

# The process of a session (a BackgroundPsql).
sub backend_pid
{
	my ($session) = @_;
	return check_pid($session->query_safe('SELECT pg_backend_pid()'));
}

# Its codec.
sub helper_pid
{
	my ($session) = @_;
	return check_pid($session->query_safe("SELECT pid FROM helper() WHERE program = 'mediastore-codec'"));
}

# The server's first process.
sub postmaster_pid
{
	my ($node) = @_;
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)\n/;
	return check_pid($pid);
}

1;
