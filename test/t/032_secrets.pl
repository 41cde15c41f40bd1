# Secrets are nowhere: not in the log, whatever goes wrong, not in what other
# sessions see, not in our views and tables, not in what a process shows of
# itself (R27).
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 is not installed' if faults_missing();

my $secret = 'dontshow-secret/with+special=chars';
my $token = 'dontshow-token-0123456789';
my $faults = start_faults();
my $node = PostgreSQL::Test::Cluster->new('secrets');
my $libraries = $node->config_data('--pkglibdir');
my $statements = -e "$libraries/pg_stat_statements.so";

$node->init;
$node->append_conf('postgresql.conf', q{
	log_statement = none
	log_min_messages = debug1
	log_error_verbosity = verbose
	mediastore.delete_grace = 0
	mediastore.max_attempts = 2
	mediastore.stall_timeout = '1s'
	shared_preload_libraries = 'mediastore} . ($statements ? ', pg_stat_statements' : '') . q{'
});
$node->start;

# whoever sets a secret tells it to the statistics, too, if he lets them look
$node->safe_psql('postgres', q{CREATE EXTENSION mediastore});
$node->safe_psql('postgres', q{CREATE EXTENSION pg_stat_statements}) if $statements;
$node->safe_psql('postgres', ($statements ? 'SET pg_stat_statements.track_utility = off;' : '') . qq{
	CREATE SERVER store TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'b', region 'us-east-1', endpoint '$faults', private_network 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER store OPTIONS (access_key_id 'AKIAEXAMPLE', secret_access_key '$secret', session_token '$token')});
$node->safe_psql('postgres', q{
	CREATE TABLE picture (id text PRIMARY KEY, data bytea, url text);
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON picture FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key={pk}/{sha256}', 'url_column=url')});

# Everything that others can see.
sub seen
{
	my $text = '';

	my $ours = $node->safe_psql('postgres',
		q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'mediastore'::regnamespace AND relkind IN ('r', 'v', 'm')});

	foreach my $name (split(/\n/, $ours),
		'pg_stat_activity', 'pg_settings', 'pg_foreign_server', 'pg_prepared_statements', $statements ? 'pg_stat_statements' : ())
	{
		$text .= "--- $name\n" . $node->safe_psql('postgres', "SELECT t::text FROM $name t") . "\n";
	}
	foreach my $pid (grep { defined } worker_pid($node), courier_pid($node))
	{
		foreach my $file ("/proc/$pid/cmdline", "/proc/$pid/environ")
		{
			open my $handle, '<', $file or next;
			local $/;
			$text .= "--- $file\n" . (readline($handle) // '') . "\n";
		}
	}
	return $text;
}

my $all = '';
my @faults = qw(echo access_denied internal_error hang reset_reading reset_sending garbage truncated no_http wrong_region unknown_key);
foreach my $fault (@faults)
{
	rules($faults, { fault => $fault, key => "^$fault/", count => 1 });
	$node->safe_psql('postgres', "INSERT INTO picture VALUES ('$fault', '$fault')");
	# it has failed, and that is known
	soon($node, "SELECT (SELECT count(*) FROM mediastore.object WHERE last_error IS NOT NULL AND key LIKE '$fault/%')
		+ (SELECT count(*) FROM mediastore.store WHERE last_error IS NOT NULL) > 0", 't', 10);
	$all .= seen();
	my ($status, $out, $error) = $node->psql('postgres', "SELECT media_retry(id) FROM mediastore.object WHERE state <> 'stored'; CALL media_drain('30 s')");
	is($status, 0, "after $fault all is stored") or diag $error;
}

# and those who ask themselves: what they are told, and what the log is
foreach my $fault (qw(echo access_denied internal_error no_http))
{
	rules($faults, { fault => $fault });
	foreach my $call (q{media_put('store', 'k', 'x')}, q{media_get('store', 'k')}, q{media_head('store', 'k')}, q{media_delete('store', 'k')},
		q{(SELECT count(*) FROM media_list('store'))})
	{
		my ($status, $out, $error) = $node->psql('postgres', "SELECT $call");
		isnt($status, 0, "$fault: $call fails");
		$all .= "$call: $error\n";
	}
}
rules($faults);
like($node->safe_psql('postgres', "SELECT media_presign('store', 'k')"), qr/X-Amz-Signature=/, 'a signed URL is for who asks');
$node->psql('postgres', "SELECT 1 / 0 FROM (SELECT media_presign('store', 'k')) s");
$node->safe_psql('postgres', 'DELETE FROM picture');
$node->safe_psql('postgres', "CALL media_drain('30 s')");
$all .= seen();

my @requests = requests_for($faults, qr//);
cmp_ok(scalar(grep { $_->{signed} } @requests), '>=', 2 * @faults, 'there was something to hide: requests were signed');
$node->stop('fast');
my $log = slurp_file($node->logfile);
like($log, qr/DEBUG:/, 'the log is talkative');
like($log . $all, qr/AccessDenied/, 'failures are told');
foreach my $place ([ 'the log', $log ], [ 'views, messages and processes', $all ])
{
	my ($where, $text) = @$place;
	my %hidden = (secret => quotemeta $secret, token => quotemeta $token, signature => 'X-Amz-Signature=|Signature=[0-9a-f]{64}',
		'signed credential' => 'AWS4-HMAC-SHA256 Credential');
	foreach my $what (sort keys %hidden)
	{
		my @lines = grep { /$hidden{$what}/ } split /\n/, $text;
		is(scalar @lines, 0, "no $what in $where") or diag join "\n", grep { defined } @lines[ 0 .. 2 ];
	}
}
done_testing();
