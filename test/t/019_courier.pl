# The courier program by its wire, without a server (test/client/courier.py):
# with a folder of files, with a store that does what none should, and, where
# Debian 12's radosgw, ceph-mon and ceph-osd are installed, with a real S3 server.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 is not installed' if system('command -v python3 >/dev/null 2>&1') != 0;

my $client = "$FindBin::RealBin/../client/courier.py";
my $program = "$ENV{MEDIASTORE_BUILD}/mediastore-courier";
my ($rgw, $folder);

END
{
	my $status = $?;
	system($rgw, 'stop', $folder) if defined $folder && -e "$folder/ceph.conf";
	$? = $status;
}

# Runs the client; each of its checks counts.
sub run_client
{
	my @arguments = @_;
	my ($out, $err) = run_command(['python3', $client, $program, @arguments]);
	foreach my $line (split /\n/, $out)
	{
		my ($good, $what) = $line =~ /^(ok|NOT OK): (.*)$/ or next;
		ok($good eq 'ok', "$arguments[0]: $what");
	}
	ok($out =~ /^0 failed$/m, "$arguments[0]: it came to its end") or diag($err);
}

run_client('file', PostgreSQL::Test::Utils::tempdir());
run_client('faults');

SKIP:
{
	skip 'radosgw, ceph-mon, ceph-osd or curl is not installed', 1
	  if grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(radosgw ceph-mon ceph-osd curl);
	$rgw = "$FindBin::RealBin/../s3/rgw";
	$folder = PostgreSQL::Test::Utils::tempdir_short() . '/rgw';
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	skip 'the S3 server did not start', 1 if system("$rgw start $folder $port >/dev/null 2>&1") != 0;
	run_client('s3', "http://127.0.0.1:$port", 'pictures');
}

done_testing();
