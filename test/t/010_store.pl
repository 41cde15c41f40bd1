# Stores: the server's environment signs where a superuser says so, what
# was secret is not in the log, and a dump carries servers and mappings.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $signed_by = q{substring(media_presign(%s, 'a') FROM 'X-Amz-Credential=([^%%]*)')};
my $node = PostgreSQL::Test::Cluster->new('store');

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "jit = off\nlog_statement = none\nlog_min_messages = debug1\nlog_error_verbosity = verbose\n");

# With these and no other variables of AWS's.
sub start_with
{
	my %environment = @_;

	local %ENV = %ENV;
	delete $ENV{"AWS_$_"} foreach qw(ACCESS_KEY_ID SECRET_ACCESS_KEY SESSION_TOKEN);
	$ENV{"AWS_$_"} = $environment{$_} foreach keys %environment;
	$node->start;
	return;
}

# What a role's call says: a value, or the error.
sub say_of
{
	my ($role, $sql) = @_;
	my ($status, $output, $error) = $node->psql('postgres', "SET ROLE $role; SELECT $sql");

	return $status == 0 ? $output : $error;
}

sub signer
{
	my ($role, $server) = @_;
	return say_of($role, sprintf($signed_by, "'$server'"));
}

start_with(ACCESS_KEY_ID => 'AKIAENVIRONMENT', SECRET_ACCESS_KEY => 'dontshow-environment', SESSION_TOKEN => 'dontshow-token');
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION mediastore;
	CREATE ROLE owner;
	CREATE ROLE reader;
	GRANT USAGE ON FOREIGN DATA WRAPPER mediastore TO owner;
	GRANT EXECUTE ON FUNCTION media_presign TO owner, reader;
	CREATE SERVER ours TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', region 'eu-central-1', prefix 'größe/', profile 'default');
	CREATE SERVER named TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', region 'eu-central-1', profile 'p');
	GRANT USAGE ON FOREIGN SERVER ours, named TO reader;
	SET ROLE owner;
	CREATE SERVER theirs TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'theirs', region 'eu-central-1');
	GRANT USAGE ON FOREIGN SERVER theirs TO reader;
});

is(signer('reader', 'ours'), 'AKIAENVIRONMENT', 'the environment signs for those who may use a server with the default profile');
like(say_of('reader', q{media_presign('ours', 'a')}), qr/&X-Amz-Security-Token=dontshow-token&/, 'with its token');
like(signer('reader', 'named'), qr/ERROR:  server "named" names profile "p"/, 'but not where a profile is named');
like(signer('owner', 'theirs'), qr/ERROR:  no credentials for server "theirs"/, 'nor at the server of somebody else, for its owner');
like(signer('reader', 'theirs'), qr/ERROR:  no credentials for server "theirs"/, 'nor for others');
$node->safe_psql('postgres', 'CREATE ROLE heir SUPERUSER; ALTER SERVER theirs OWNER TO heir');
like(signer('reader', 'theirs'), qr/ERROR:  no credentials for server "theirs"/, 'nor when a superuser has got it');
$node->safe_psql('postgres', 'ALTER SERVER theirs OWNER TO owner; ALTER SERVER ours OWNER TO owner');
is(signer('reader', 'ours'), 'AKIAENVIRONMENT', 'it signs as long as a superuser has said so');
foreach my $change ("SET bucket 'another'", "ADD endpoint 'http://localhost'", "SET profile 'p'", 'DROP prefix')
{
	my ($status, undef, $error) = $node->psql('postgres', "SET ROLE owner; ALTER SERVER ours OPTIONS ($change)");
	like($error, qr/permission denied to set option "profile"/, "for what he has said: $change");
}
$node->safe_psql('postgres', 'ALTER SERVER ours OWNER TO CURRENT_USER');
$node->safe_psql('postgres', 'CREATE USER MAPPING FOR PUBLIC SERVER ours');
like(signer('reader', 'ours'), qr/ERROR:  user mapping of "public" for server "ours" has no access_key_id/,
	'nor behind an empty mapping');
$node->safe_psql('postgres', 'DROP USER MAPPING FOR PUBLIC SERVER ours');

$node->stop;
start_with(ACCESS_KEY_ID => 'AKIAHALF', SECRET_ACCESS_KEY => '');
like(signer('reader', 'ours'), qr/ERROR:  no credentials for server "ours"\nHINT:  .*AWS_ACCESS_KEY_ID/, 'half a pair is none');

# the file, by the server's configuration
my $file = $node->basedir . '/credentials';
append_to_file($file, "[p]\r\naws_access_key_id = AKIAFILE\r\naws_secret_access_key = dontshow-file\r\n");
chmod 0600, $file;
$node->append_conf('postgresql.conf', "mediastore.credentials_file = '$file'");
$node->reload;
is(signer('reader', 'named'), 'AKIAFILE', 'a profile of the file');
like(signer('reader', 'ours'), qr/ERROR:  the credentials file has no profile "default"/, 'which is not the default one');
chmod 0640, $file;
like(signer('reader', 'named'), qr/ERROR:  the file of "mediastore.credentials_file" is open to others/, 'not when others can read it');
unlike(signer('reader', 'named'), qr/\Q$file\E/, 'and its name is not told');
like(slurp_file($node->logfile), qr/The file is "\Q$file\E"/, 'but to the log');

# statements with a secret that fail
foreach my $options (
	q{access_key_id 'AKIA', secret_acces_key 'dontshow-misspelt'},
	q{secret_access_key 'dontshow-alone'},
	q{access_key_id '', secret_access_key 'dontshow-beside'})
{
	my ($status, undef, $error) = $node->psql('postgres', "CREATE USER MAPPING FOR PUBLIC SERVER ours OPTIONS ($options)");
	isnt($status, 0, 'a mapping that can\'t be');
	unlike($error, qr/dontshow/, 'is refused without its secret');
}
foreach my $option (q{secret_access_key 'dontshow-server'}, q{endpoint 'https://user:dontshow-endpoint@example.com'})
{
	my ($status, undef, $error) =
		$node->psql('postgres', "CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', $option)");
	isnt($status, 0, 'a secret of a server');
	unlike($error, qr/dontshow/, 'is refused without being shown');
}
# with something else wrong beside the secret, or from a function, whose
# statement is the context of its error
foreach my $statement (
	q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', path_style 'maybe', endpoint 'https://user:dontshow-value@example.com')},
	q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv', endpoint 'https://user:dontshow-together@example.com')},
	q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (endpoint 'https://user:dontshow-neither@example.com')},
	q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', endpoint 'https://user:dontshow-endpoint@example.com')},
	q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'ours', secret_access_key 'dontshow-server')},
	q{CREATE USER MAPPING FOR PUBLIC SERVER ours OPTIONS (access_key_id 'AKIA', secret_acces_key 'dontshow-misspelt')},
	q{CREATE USER MAPPING FOR PUBLIC SERVER ours OPTIONS (secret_access_key 'dontshow-alone')},
	q{CREATE USER MAPPING FOR PUBLIC SERVER ours OPTIONS (access_key_id '', secret_access_key 'dontshow-beside')})
{
	isnt($node->psql('postgres', $statement), 0, 'a statement with a secret is refused');
	isnt($node->psql('postgres', "DO \$\$ BEGIN $statement; END \$\$"), 0, 'and so is it in a function');
}
ok(slurp_file($node->logfile) !~ /dontshow/, 'neither gets into the log');
$node->safe_psql('postgres', q{CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0});
$node->safe_psql('bytes', 'CREATE EXTENSION mediastore');
my ($refused, undef, $why) = $node->psql('bytes', q{CREATE SERVER wrong FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'ours', endpoint E'https://user:dontshow-\\xe4@example.com')});
isnt($refused, 0, 'an endpoint that is no UTF-8');
like($why, qr/ERROR:  endpoint must not have a user name/, 'is looked at as any other');

# dump and restore
$node->safe_psql('postgres', q{CREATE USER MAPPING FOR reader SERVER ours
	OPTIONS (access_key_id 'AKIAREADER', secret_access_key 'dontshow-reader')});
my $dump = $node->basedir . '/dump';
my $url = q{SET ROLE reader; SELECT media_presign('ours', 'ä b', at => '2026-01-01 00:00+00'), media_url('theirs', 'a')};
my $before = $node->safe_psql('postgres', $url);
like($before, qr{^https://ours\.s3\.eu-central-1\.amazonaws\.com/gr%C3%B6%C3%9Fe/%C3%A4%20b\?.*=AKIAREADER%2F.*\|https://theirs\.}, 'before a dump');
$node->safe_psql('postgres', 'CREATE DATABASE new');
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('new'), $dump ], 'restore');
is($node->safe_psql('new', $url), $before, 'and after its restore');
is($node->safe_psql('new', q{SELECT srvowner::regrole FROM pg_foreign_server WHERE srvname = 'theirs'}), 'owner', 'of the same owner');

$node->stop;
my $log = slurp_file($node->logfile);
ok($log !~ /dontshow/, 'no secret is in the log');
ok($log !~ /X-Amz-Signature/, 'and no signed address');
done_testing();
