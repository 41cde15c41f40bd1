# Presigned URLs, with a real S3 server that checks signatures (test/s3/rgw).
# It is not installed for this test alone: Debian 12's radosgw, ceph-mon and
# ceph-osd.  Later ones do not start like that.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib $FindBin::RealBin;
use MediastoreTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'radosgw, ceph-mon, ceph-osd or curl is not installed'
  if grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(radosgw ceph-mon ceph-osd curl);

my $rgw = "$FindBin::RealBin/../s3/rgw";
my $folder = PostgreSQL::Test::Utils::tempdir_short() . '/rgw';
my $port = PostgreSQL::Test::Cluster::get_free_port();
my ($key, $secret) = ('TESTACCESSKEY0000000', 'testsecret/with+special=chars0123456789');
plan skip_all => 'the S3 server did not start' if system("$rgw start $folder $port >/dev/null 2>&1") != 0;

END
{
	my $status = $?;
	system($rgw, 'stop', $folder) if defined $folder && -e "$folder/ceph.conf";
	$? = $status;
}

my $node = PostgreSQL::Test::Cluster->new('presign');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
# curl leaves the hash of the body out, which the gateway wants
system_or_bail('curl', '-sf', '-X', 'PUT', '-H', 'x-amz-content-sha256: ' . sha256_hex(''), '--user', "$key:$secret", '--aws-sigv4', 'aws:amz:us-east-1:s3',
	"http://127.0.0.1:$port/pictures");
$node->safe_psql(
	'postgres', qq{
	CREATE SERVER pictures TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', prefix 'media/');
	CREATE USER MAPPING FOR PUBLIC SERVER pictures OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER by_host TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://localhost:$port', prefix 'media/', path_style 'false');
	CREATE USER MAPPING FOR PUBLIC SERVER by_host OPTIONS (access_key_id '$key', secret_access_key '$secret');
	CREATE SERVER thief TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'pictures', region 'us-east-1',
		endpoint 'http://127.0.0.1:$port', prefix 'media/');
	CREATE USER MAPPING FOR PUBLIC SERVER thief OPTIONS (access_key_id '$key', secret_access_key 'not the secret');
});

sub presign
{
	my ($server, $name, $options) = @_;
	return $node->safe_psql('postgres', "SELECT media_presign('$server', \$key\$$name\$key\$" . ($options ? ", $options" : '') . ')');
}

# The status, and the body, of a request.
sub curl
{
	my @arguments = @_;
	my ($out, $err) = run_command(['curl', '-s', '-w', '\n%{http_code}', @arguments]);
	$out =~ /^(.*)\n(\d+)$/s or die "curl: $out $err";
	return ($2, $1);
}

my $file = PostgreSQL::Test::Utils::tempdir() . '/picture';
append_to_file($file, jpeg());
foreach my $server (qw(pictures by_host))
{
	foreach my $name ('a.jpg', 'with space+plus%percent.jpg', "b\xc3\xa4ume/\xe2\x82\xac.jpg", "quote'(1)!*&=?#;:\@,~.jpg", 'a//b')
	{
		my ($status) = curl('-T', $file, presign($server, $name, "method => 'PUT'"));
		is($status, 200, "$server: PUT of $name");
		($status, my $body) = curl(presign($server, $name));
		is($status, 200, "$server: GET of $name");
		ok($body eq jpeg(), "$server: the same bytes");
		($status) = curl('-I', presign($server, $name, "method => 'HEAD'"));
		is($status, 200, "$server: HEAD of $name");
		($status) = curl('-X', 'DELETE', presign($server, $name, "method => 'DELETE'"));
		is($status, 204, "$server: DELETE of $name");
		($status) = curl(presign($server, $name));
		is($status, 404, "$server: $name is gone");
	}
}

my ($status) = curl('-T', $file, presign('pictures', 'a.jpg', "method => 'PUT'"));
is($status, 200, 'there is an object');
($status) = curl(presign('thief', 'a.jpg'));
is($status, 403, 'the wrong secret is refused');
($status) = curl('-T', $file, presign('pictures', 'a.jpg'));
is($status, 403, 'a URL for GET is none for PUT');
($status) = curl(presign('pictures', 'a.jpg', "at => now() - interval '1 hour'"));
is($status, 403, 'it expires');
my $url = presign('pictures', 'a.jpg');
($status) = curl($url =~ s/a\.jpg/b.jpg/r);
is($status, 403, 'it is for one object');
($status) = curl($node->safe_psql('postgres', "SELECT media_url('pictures', 'a.jpg')"));
is($status, 403, 'a URL without a signature opens nothing');
is(presign('pictures', 'a.jpg', "at => '2026-01-01 00:00:00+00'"), presign('pictures', 'a.jpg', "at => '2026-01-01 00:07:29+00'"),
	'it is stable within half of its time');
isnt(presign('pictures', 'a.jpg', "at => '2026-01-01 00:00:00+00'"), presign('pictures', 'a.jpg', "at => '2026-01-01 00:07:30+00'"),
	'and new then');

done_testing();
