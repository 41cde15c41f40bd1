# What the TAP tests of pushing share: stores to push to (a real S3 server, one
# that fails as it is told), looks at what is in them, and waiting.
package MediastoreStores;

use strict;
use warnings;
use Digest::SHA;
use File::Find;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use MediastoreTest qw(status_of);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use Exporter 'import';
our @EXPORT = qw(S3_KEY S3_SECRET s3_missing start_s3 s3_objects file_objects start_faults faults_missing
  rules forget requests_for stored_at_faults soon server_pid child_pids session_pids worker_pid courier_pid
  courier_parent orphaned_couriers);

use constant S3_KEY => 'TESTACCESSKEY0000000';
use constant S3_SECRET => 'testsecret/with+special=chars0123456789';

my $python = '/usr/bin/python3';
my $tools = "$FindBin::RealBin/../s3";
my $s3_folder;
my @started;

END
{
	my $status = $?;
	system("$tools/rgw", 'stop', $s3_folder) if defined $s3_folder && -e "$s3_folder/ceph.conf";
	foreach my $pid (@started)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	$? = $status;
}

# ---------------------------------------------------------------- a real S3 server

# What is not installed of what it takes; empty if all is there.
sub s3_missing
{
	return join ', ', (grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(radosgw ceph-mon ceph-osd curl)),
	  (system("$python -c 'import boto3' 2>/dev/null") != 0 ? 'python3-boto3' : ());
}

# Starts one with a bucket; its endpoint, or undef if it does not start.
sub start_s3
{
	my ($bucket) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	$s3_folder = PostgreSQL::Test::Utils::tempdir_short() . '/rgw';
	return if system("$tools/rgw start $s3_folder $port >/dev/null 2>&1") != 0;
	listing("http://127.0.0.1:$port", $bucket, 'make');
	return "http://127.0.0.1:$port";
}

sub listing
{
	my @arguments = @_;
	local $ENV{AWS_ACCESS_KEY_ID} = S3_KEY;
	local $ENV{AWS_SECRET_ACCESS_KEY} = S3_SECRET;
	my ($out, $error) = run_command([ $python, "$tools/listing.py", @arguments ]);

	die "listing.py: $error" if $error ne '';
	return $out;
}

# Key => SHA-256 of what a bucket holds, as another client sees it.
sub s3_objects
{
	my ($endpoint, $bucket) = @_;
	return map { my ($sha256, $bytes, $key) = split /\t/; (JSON::PP->new->allow_nonref->decode($key) => $sha256) }
	  split /\n/, listing($endpoint, $bucket);
}

# The same of a folder: every file in it, whoever made it.
sub file_objects
{
	my ($root) = @_;
	my %objects;

	find({ no_chdir => 1, wanted => sub { $objects{ substr $_, length($root) + 1 } = Digest::SHA->new(256)->addfile($_, 'b')->hexdigest if -f } },
		$root);
	return %objects;
}

# ---------------------------------------------------------------- one that fails

sub faults_missing
{
	return system("$python -c 'import ctypes, json, xml' 2>/dev/null") != 0 ? 'python3' : '';
}

# Starts test/s3/faults.py with a bucket "b"; its endpoint.
sub start_faults
{
	my ($port) = @_;
	pipe my $reader, my $writer or die "pipe: $!";
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>&', $writer or die;
		exec $python, "$tools/faults.py", '--bucket', 'b', defined $port ? ('--port', $port) : () or die;
	}
	close $writer;
	push @started, $pid;
	my ($ready) = (readline($reader) // '') =~ /^ready (\d+)$/ or die 'faults.py did not start';
	return "http://127.0.0.1:$ready";
}

sub talk
{
	my ($method, $url, $content) = @_;
	my $answer = HTTP::Tiny->new(timeout => 30)->request($method, $url, { defined $content ? (content => encode_json($content)) : () });

	die "faults.py: $answer->{status} $answer->{content}" unless $answer->{success};
	return decode_json($answer->{content});
}

# Has it fail by these rules and no others.
sub rules
{
	my ($endpoint, @rules) = @_;

	talk('DELETE', "$endpoint/_control");
	talk('POST', "$endpoint/_control", { rules => \@rules }) if @rules;
	return;
}

# Has it forget what came.
sub forget
{
	my ($endpoint) = @_;

	talk('DELETE', "$endpoint/_control/requests");
	return;
}

# The requests with such a key, in their order.
sub requests_for
{
	my ($endpoint, $key) = @_;
	return grep { $_->{key} =~ $key } @{ talk('GET', "$endpoint/_control/requests") };
}

# "BUCKET/KEY" => what is known of it.
sub stored_at_faults
{
	my ($endpoint) = @_;
	return %{ talk('GET', "$endpoint/_control/objects") };
}

# ---------------------------------------------------------------- waiting, processes

# Waits until a query answers something, some seconds; what it answered at last.
sub soon
{
	my ($node, $sql, $wanted, $seconds) = @_;
	my $until = time + ($seconds // 30);
	my $got;

	while (1)
	{
		$got = $node->safe_psql('postgres', $sql);
		last if $got eq $wanted || time > $until;
		usleep(50_000);
	}
	return $got;
}

sub child_pids
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/task/$pid/children" or return;
	return split ' ', readline($file) // '';
}

# What a process is called; "" if there is none.
sub cmdline
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/cmdline" or return '';
	return readline($file) // '';
}

# The server's own process; undef if there is none.
sub server_pid
{
	my ($node) = @_;
	open my $file, '<', $node->data_dir . '/postmaster.pid' or return;
	return ((readline($file) // '') =~ /^(\d+)$/)[0];
}

# The processes of sessions.
sub session_pids
{
	my ($node) = @_;
	my $server = server_pid($node) // return;
	return grep { cmdline($_) =~ /^postgres: .* \[local\]/ } child_pids($server);
}

# The worker of whichever database; undef if there is none.  Out of /proc, since
# the server may not answer just now.
sub worker_pid
{
	my ($node) = @_;
	my $server = server_pid($node) // return;
	return (grep { cmdline($_) =~ /mediastore worker/ } child_pids($server))[0];
}

# The process that a courier was started by, as its command line says; undef if
# it is none.
sub courier_parent
{
	my ($pid) = @_;

	# in another namespace its parent has another number
	return if (status_of($pid, 'NSpid') // '') =~ /\d\s+\d/;
	return (cmdline($pid) =~ /mediastore-courier\0(\d+)\0/)[0];
}

# Couriers on this machine whose parent is no more, or not theirs any more, some
# seconds after they may have lost it.
sub orphaned_couriers
{
	my @orphans;

	foreach my $try (1 .. 100)
	{
		@orphans = grep {
			my $parent = courier_parent($_);
			my $now = defined $parent ? status_of($_, 'PPid') : undef;
			defined $now && $now != $parent
		} map { m{(\d+)$} } glob '/proc/[0-9]*';
		last unless @orphans;
		usleep(50_000);
	}
	return @orphans;
}

# Its courier; undef if there is none.
sub courier_pid
{
	my ($node) = @_;
	my $worker = worker_pid($node) // return;

	return (grep { cmdline($_) =~ /mediastore-courier/ } child_pids($worker))[0];
}

1;
