# Each way a store can fail has its end: what passes is tried again and stored,
# what does not is dead with its reason in mediastore.queue; the row stays, and
# other keys and other stores go on (R14, R16, R21, R28).
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use HTTP::Tiny;
use MediastoreStores;
use MediastoreTest qw(status_of);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'python3 is not installed' if faults_missing();

my $node = PostgreSQL::Test::Cluster->new('faults');
my $faults = start_faults();
my $root = PostgreSQL::Test::Utils::tempdir();
my $down = PostgreSQL::Test::Cluster::get_free_port();

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
	shared_preload_libraries = 'mediastore'
	mediastore.delete_grace = 0
	mediastore.max_attempts = 3
	mediastore.connect_timeout = '2s'
	mediastore.stall_timeout = '1500ms'
	mediastore.transfer_timeout = '20s'
	mediastore.push_concurrency = 16
});
$node->start;

# A server, credentials, and a table of its name that is pushed there.
sub store
{
	my ($name, $options, $type) = @_;

	$node->safe_psql('postgres', "CREATE SERVER $name TYPE '" . ($type // 's3') . "' FOREIGN DATA WRAPPER mediastore OPTIONS ($options)");
	$node->safe_psql('postgres', "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (access_key_id 'key', secret_access_key 'secret')")
	  if $name ne 'nobody' && !defined $type;
	$node->safe_psql('postgres', qq{
		CREATE TABLE $name (id text PRIMARY KEY, data bytea);
		ALTER TABLE $name ALTER data SET STORAGE EXTERNAL;
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON $name FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=$name', 'key={pk}/{sha256}')});
	return;
}

sub insert
{
	my ($table, $id, $bytes) = @_;

	# of its own content, as text and yet not all the same
	$node->safe_psql('postgres', "INSERT INTO $table SELECT '$id', convert_to(left(string_agg(md5('$id' || n), ''), $bytes), 'UTF8') "
		  . "FROM generate_series(0, $bytes / 32) n");
	return;
}

sub state_of
{
	my ($table, $id) = @_;
	return "SELECT COALESCE((SELECT state FROM mediastore.object WHERE server = '$table' AND key LIKE '$id/%'), 'unknown')";
}

# What is the trouble with a store; wrong credentials are their owner's trouble,
# so that is said of his objects.
sub trouble_of
{
	my ($table) = @_;
	return $node->safe_psql('postgres', trouble($table));
}

sub trouble
{
	my ($table) = @_;
	return "SELECT COALESCE((SELECT last_error FROM mediastore.store WHERE server = '$table'), "
	  . "(SELECT max(last_error) FROM mediastore.object WHERE server = '$table' AND state = 'pending'), '')";
}

sub ends_as
{
	my ($table, $id, $state, $what) = @_;
	my $got = soon($node, state_of($table, $id), $state, 40);

	is($got, $state, "$id: $what")
	  or diag $node->safe_psql('postgres', "SELECT attempts, last_error, next_attempt_at - now() FROM mediastore.object WHERE key LIKE '$id/%'"), trouble_of($table);
	return $got eq $state;
}

sub same_bytes
{
	my ($table) = @_;
	my %objects = stored_at_faults($faults);
	my %rows = map { split /\t/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT 'b/' || o.key || E'\\t' || encode(sha256(t.data), 'hex') FROM $table t JOIN mediastore.object o "
		  . "ON o.server = '$table' AND o.key = t.id || '/' || encode(sha256(t.data), 'hex')");
	my @wrong = grep { !exists $objects{$_} || $objects{$_}{sha256} ne $rows{$_} } sort keys %rows;

	is("@wrong", '', "$table: the store has the bytes of " . keys(%rows) . ' rows');
	return scalar keys %rows;
}

$node->safe_psql('postgres', 'CREATE EXTENSION mediastore');
my $here = "bucket 'b', region 'us-east-1', endpoint '$faults', private_network 'true'";
store('faulty', $here);

# ---------------------------------------------------------------- of one object

# name, rule, bytes, how it ends, requests at least and at most, the reason
my @cases = (
	[ 'internal_error', { count => 2 }, 100, 'stored', 3, 3 ],
	[ 'conflict', { count => 1 }, 100, 'stored', 2, 2 ],
	[ 'hang', { count => 1 }, 100, 'stored', 2, 2 ],
	[ 'hang_reading', { count => 1 }, 9000000, 'stored', 2, 2 ],
	[ 'reset_reading', { count => 1 }, 300000, 'stored', 2, 3 ],
	[ 'reset_sending', { count => 1 }, 300000, 'stored', 2, 3 ],
	[ 'close', { count => 1 }, 100, 'stored', 2, 3 ],
	[ 'truncated', { count => 1 }, 100, 'stored', 2, 2 ],
	[ 'garbage', { count => 1 }, 100, 'stored', 2, 2 ],
	[ 'no_http', { count => 1 }, 100, 'stored', 2, 3 ],
	[ 'huge', { count => 1 }, 100, 'stored', 2, 2 ],
	[ 'drip', { count => 1, delay => 0.01 }, 100, 'stored', 1, 1 ],
	[ 'slow_read', { count => 1, rate => 150000 }, 450000, 'stored', 1, 1 ],
	[ 'no_continue', { count => 1 }, 300000, 'stored', 1, 1 ],
	[ 'access_denied', {}, 100, 'dead', 1, 1, qr/AccessDenied/ ],
	[ 'access_denied', { early => \1 }, 9000000, 'dead', 1, 1, qr/AccessDenied/ ],
	[ 'bad_request', {}, 100, 'dead', 1, 1, qr/InvalidArgument/ ],
	[ 'garbage', { status => 400 }, 100, 'dead', 1, 1, qr/400/ ],
	[ 'truncated', { status => 400 }, 100, 'dead', 1, 1, qr/400/ ],
	[ 'internal_error', {}, 100, 'dead', 3, 3, qr/InternalError/ ]);
my $number = 0;
my (@rules, @names);

foreach my $case (@cases)
{
	my ($fault, $rule) = @$case;
	my $name = 'case' . ++$number . "-$fault";

	push @names, $name;
	push @rules, { fault => $fault, key => "^$name/", %$rule };
}
rules($faults, @rules);
insert('faulty', $names[$_], $cases[$_][2]) foreach 0 .. $#cases;
insert('faulty', "good$_", 1000 * $_) foreach 1 .. 10;
is( soon($node, "SELECT count(*) FROM mediastore.object WHERE state = 'stored' AND key LIKE 'good%'", 10, 15),
	10, 'other keys go on while some fail');
foreach my $i (0 .. $#cases)
{
	my ($fault, $rule, $bytes, $state, $least, $most, $reason) = @{ $cases[$i] };
	my $name = $names[$i];

	ends_as('faulty', $name, $state, $state eq 'stored' ? 'tried again and stored' : 'dead');
	my $requests = () = requests_for($faults, qr/^$name\//);
	ok($requests >= $least && $requests <= $most, "$name: $requests requests");
	next unless defined $reason;
	like($node->safe_psql('postgres', "SELECT string_agg(q::text, ' ') FROM mediastore.queue q WHERE q::text LIKE '%$name%'"),
		$reason, "$name: the queue tells why");
}
my ($no_continue) = requests_for($faults, qr/no_continue\//);
cmp_ok($no_continue->{ended} - $no_continue->{began}, '<', 0.8, 'nobody waits for a 100 that does not come');
is($node->safe_psql('postgres', 'SELECT count(*) FROM faulty'), 10 + @cases, 'the rows stay');
my $courier = courier_pid($node);
SKIP:
{
	skip 'the courier has gone to sleep', 1 unless defined $courier;
	my ($peak) = status_of($courier, 'VmHWM') =~ /^(\d+)/;
	cmp_ok($peak, '<', 96 * 1024, "an answer of 100 MB takes no memory: $peak kB at most");
}
rules($faults);
is($node->safe_psql('postgres', "SELECT bool_and(media_retry(id)) FROM mediastore.object WHERE state = 'dead'"), 't', 'the dead are called back');
is(soon($node, "SELECT count(*) FROM mediastore.object WHERE state <> 'stored'", 0), 0, 'and then stored');
is(same_bytes('faulty'), 10 + @cases, 'all of them');

# ---------------------------------------------------------------- large ones

insert('faulty', 'large', 1);
$node->safe_psql('postgres', q{UPDATE faulty SET data = convert_to(repeat('0123456789abcdef', 40000000 / 16), 'UTF8') WHERE id = 'large'});
soon($node, "SELECT count(*) FROM mediastore.object WHERE key LIKE 'large/%' AND state = 'stored' AND bytes > 1", 1);
forget($faults);
rules($faults, { fault => 'error_in_200', operation => 'complete', count => 1 }, { fault => 'reset_reading', operation => 'part', skip => 1, count => 1 });
$node->safe_psql('postgres', q{UPDATE faulty SET data = data || '\x00' WHERE id = 'large'});
is(soon($node, "SELECT count(*) FROM mediastore.object WHERE key LIKE 'large/%' AND state = 'stored' AND bytes = 40000001", 1, 60),
	1, 'a large object is stored, whatever happens to its parts');
my @large = requests_for($faults, qr/^large\//);
cmp_ok(scalar(grep { $_->{operation} eq 'part' } @large), '>', 1, 'it goes in parts');
is(scalar(grep { defined $_->{fault} } @large), 2, 'both faults happened');
same_bytes('faulty');

# ---------------------------------------------------------------- of the store

# As many failures as an object may have attempts, and it does not count them.
foreach my $case ([ 'signature', qr/SignatureDoesNotMatch|secret/i ], [ 'unknown_key', qr/InvalidAccessKeyId|access key/i ],
	[ 'no_bucket', qr/NoSuchBucket|bucket/i ], [ 'clock', qr/RequestTimeTooSkewed|clock/i ])
{
	my ($fault, $reason) = @$case;

	rules($faults, { fault => $fault, method => 'PUT', count => $fault eq 'signature' || $fault eq 'no_bucket' ? 3 : 1 });
	insert('faulty', "store-$fault", 100);
	is(soon($node, 'SELECT (' . trouble('faulty') . ") <> ''", 't'), 't', "$fault: it fails");
	like(trouble_of('faulty'), $reason, "$fault: it is said why");
	is($node->safe_psql('postgres', "SELECT state || ' ' || attempts FROM mediastore.object WHERE key LIKE 'store-$fault/%' AND lease_token IS NULL"),
		'pending 0', "$fault: it is not the object's attempt");
	ends_as('faulty', "store-$fault", 'stored', 'stored when that is over');
	is(trouble_of('faulty'), '', "$fault: and forgotten");
}

rules($faults, { fault => 'slow_down', headers => { 'Retry-After' => '3' }, count => 1 });
forget($faults);
insert('faulty', 'slow-1', 100);
soon($node, "SELECT failures FROM mediastore.store WHERE server = 'faulty'", 1);
insert('faulty', 'slow-2', 100);
ends_as('faulty', "slow-$_", 'stored', 'stored after a 503') foreach 1, 2;
my ($refused, @later) = requests_for($faults, qr/^slow-/);
my ($first) = sort { $a <=> $b } map { $_->{began} } @later;
cmp_ok($first - $refused->{ended}, '>=', 2.9, 'nothing is sent before Retry-After has passed');

# Wrong credentials are the trouble of the owner whom they serve: another one's
# objects go on at the same store.
store('shared', $here);
$node->safe_psql('postgres', q{
	CREATE ROLE wrong; CREATE ROLE right_one; GRANT CREATE ON SCHEMA public TO wrong, right_one;
	GRANT USAGE ON FOREIGN SERVER shared TO wrong, right_one;
	CREATE USER MAPPING FOR wrong SERVER shared OPTIONS (access_key_id 'bad', secret_access_key 'worse')});
foreach my $owner ('wrong', 'right_one')
{
	$node->safe_psql('postgres', qq{
		SET ROLE $owner;
		CREATE TABLE of_$owner (id text PRIMARY KEY, data bytea);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON of_$owner FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=shared', 'key={pk}/{sha256}')});
}
rules($faults, { fault => 'signature', method => 'PUT', key => '^by-wrong' });
insert('of_wrong', 'by-wrong', 100);
like(soon($node, "SELECT last_error ~ 'SignatureDoesNotMatch|signature|secret' FROM mediastore.queue WHERE key LIKE 'by-wrong/%'", 't'), qr/t/, 'wrong credentials: the queue tells of them');
insert('of_right_one', 'by-right', 100);
is(soon($node, state_of('shared', 'by-right'), 'stored', 3), 'stored', 'and other owners go on');
is($node->safe_psql('postgres', "SELECT state || ' ' || attempts FROM mediastore.object WHERE key LIKE 'by-wrong/%' AND lease_token IS NULL"), 'pending 0', 'while it waits');
is($node->safe_psql('postgres', "SELECT failures FROM mediastore.store WHERE server = 'shared'"), 0, 'and the store does not rest');
rules($faults);
ends_as('shared', 'by-wrong', 'stored', 'stored when they are right');

# Stores that can't be reached or used, beside one that can.
my $unwritable = "$root/unwritable";
mkdir $unwritable, 0500 or die;
store('down', "bucket 'b', region 'us-east-1', endpoint 'http://127.0.0.1:$down', private_network 'true'");
store('nowhere', q{bucket 'b', region 'us-east-1', endpoint 'http://no-such-host.invalid'});
store('absent', $here =~ s/'b'/'no-such-bucket'/r);
store('private', "bucket 'b', region 'us-east-1', endpoint '$faults'");
store('nobody', $here);
store('unwritable', "root '$unwritable'", 'file');
my %reasons = (
	down => qr/connect|refused/i,
	nowhere => qr/resolve|name|host/i,
	absent => qr/NoSuchBucket|bucket/i,
	private => qr/private|loopback/i,
	nobody => qr/credential|user mapping/i,
	unwritable => qr/permission denied/i);
insert($_, "at-$_", 100) foreach sort keys %reasons;
insert('faulty', 'beside', 100);
ends_as('faulty', 'beside', 'stored', 'a store goes on beside six that do not');
foreach my $name (sort keys %reasons)
{
	is(soon($node, 'SELECT (' . trouble($name) . ") <> ''", 't'), 't', "$name: it fails");
	like(trouble_of($name), $reasons{$name}, "$name: it is said why");
	like($node->safe_psql('postgres', state_of($name, "at-$name")), qr/pending/, "$name: the object waits");
}
start_faults($down);
ends_as('down', 'at-down', 'stored', 'stored when the server is up');
chmod 0700, $unwritable;
ends_as('unwritable', 'at-unwritable', 'stored', 'stored when the folder can be written to');

# ---------------------------------------------------------------- rows that change first, odd keys

rules($faults);
$node->safe_psql('postgres', "SELECT media_pause('faulty')");
insert('faulty', 'brief', 100);
insert('faulty', 'changing', 100);
my $old = $node->safe_psql('postgres', "SELECT encode(sha256(data), 'hex') FROM faulty WHERE id = 'changing'");
$node->safe_psql('postgres', "DELETE FROM faulty WHERE id = 'brief'; UPDATE faulty SET data = data || '!' WHERE id = 'changing'; SELECT media_resume('faulty')");
is(soon($node, "SELECT count(*) FROM mediastore.object WHERE key LIKE 'changing/%' AND state = 'stored'", 1), 1, 'what was changed before its upload is stored');
is(scalar(requests_for($faults, qr/^brief\//)), 0, 'what was deleted before never went there');
is(scalar(requests_for($faults, qr/^changing\/$old/)), 0, 'nor did what it was before');

my @odd = ('a b', 'a+b', 'a%20b', '../b', '..', "line\nbreak", "b\xc3\xa4ume \xe2\x82\xac", q{q"&<>#?=;:@$,'}, '/a//b/', '.hidden', 'tab	stop');
foreach my $id (@odd)
{
	$node->safe_psql('postgres', "INSERT INTO faulty VALUES (\$odd\$$id\$odd\$, convert_to(\$odd\$of $id\$odd\$, 'UTF8'))");
}
is(soon($node, "SELECT count(*) FROM faulty t JOIN mediastore.object o ON o.server = 'faulty' AND o.sha256 = sha256(t.data) AND o.state = 'stored' WHERE t.data = convert_to('of ' || t.id, 'UTF8')",
		scalar @odd), scalar @odd, 'keys of odd characters are stored');
my %objects = stored_at_faults($faults);
my %by_content = map { $_->{sha256} => 1 } values %objects;
is(scalar(grep { !$by_content{$_} } split /\n/, $node->safe_psql('postgres', "SELECT encode(sha256(data), 'hex') FROM faulty")), 0, 'with their bytes');
is(scalar(grep { /(^|\/)\.\.?(\/|$)|[[:cntrl:]]/ } keys %objects), 0, 'and none leads elsewhere');
foreach my $template ('../{sha256}', 'a/../{sha256}', "a\nb/{sha256}", '{nothing}/{sha256}', 'constant')
{
	my ($status, $out, $error) = $node->psql('postgres', qq{
		\\set VERBOSITY sqlstate
		BEGIN;
		CREATE TABLE bad (id int PRIMARY KEY, data bytea);
		CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON bad FOR EACH ROW
			EXECUTE FUNCTION media_push_trigger('data', 'server=faulty', 'key=$template');
		INSERT INTO bad VALUES (1, 'x')});
	like($error, qr/ERROR:  22023/, 'the template ' . ($template =~ s/\n/\\n/r) . ' is refused');
}

# ---------------------------------------------------------------- 412

store('once', "$here, if_none_match 'true', prefix 'once/'");
my $sha256 = $node->safe_psql('postgres', "SELECT encode(sha256('there before'), 'hex')");
my $answer = HTTP::Tiny->new->put("$faults/b/once/there/$sha256", { content => 'there before', headers => { 'x-amz-meta-sha256' => $sha256 } });
ok($answer->{success}, 'an object is there before its row');
$node->safe_psql('postgres', "INSERT INTO once VALUES ('there', 'there before')");
ends_as('once', 'there', 'stored', 'what is there under the name of its content is stored');
my ($put) = reverse grep { $_->{method} eq 'PUT' } requests_for($faults, qr/^once\/there\//);
is($put->{status}, 412, 'by a 412');

$node->stop('fast');
done_testing();
