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
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Exporter 'import';
our @EXPORT = qw(build_folder rogue_folder start_node create_functions png jpeg hex
  gone wait_gone status_of resident helper_pid);

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
			LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS '$folder/mediastore';
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

# A line of /proc/PID/status, without its name; undef if there is none.
sub status_of
{
	my ($pid, $field) = @_;
	open my $file, '<', "/proc/$pid/status" or return;
	my ($value) = map { /^\Q$field\E:\s*(.*?)\s*$/ ? $1 : () } <$file>;
	close $file;
	return $value;
}

# Resident memory of a process, kB.
sub resident
{
	my ($pid) = @_;
	my ($kilobytes) = (status_of($pid, 'VmRSS') // '0') =~ /^(\d+)/;
	return $kilobytes;
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
	foreach my $try (1 .. ($seconds // 10) * 100)
	{
		return 1 if gone($pid);
		usleep(10_000);
	}
	return 0;
}

# The codec of a session (a BackgroundPsql).
sub helper_pid
{
	my ($session) = @_;
	return $session->query_safe("SELECT pid FROM helper() WHERE program = 'mediastore-codec'");
}

1;
