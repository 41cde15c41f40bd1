# An object that loses its rows is forgotten at once only if nothing can be at
# the store: not if a PUT was begun, whatever became of it (R14, R17).
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use MediastoreStores;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'python3 is not installed' if faults_missing();

my $node = PostgreSQL::Test::Cluster->new('tried');
my $faults = start_faults();

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "jit = off\nshared_preload_libraries = 'mediastore'\nmediastore.delete_grace = 0\nmediastore.private_networks = on\n");
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION mediastore;
	CREATE SERVER store TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'b', endpoint '$faults', path_style 'true');
	CREATE USER MAPPING FOR PUBLIC SERVER store OPTIONS (access_key_id 'key', secret_access_key 'secret');
	CREATE TABLE photo (id text PRIMARY KEY, data bytea);
	CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON photo FOR EACH ROW
		EXECUTE FUNCTION media_push_trigger('data', 'server=store', 'key={pk}/{sha256}');
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub object { return "SELECT COALESCE((SELECT $_[1] FROM mediastore.object WHERE key LIKE '$_[0]/%'), 'none')" }

sub methods { return join ' ', map { $_->{method} } requests_for($faults, "^$_[0]/") }

sub insert { return sql("INSERT INTO photo VALUES ('$_[0]', 'content of $_[0]')") }

sub remove { return sql("DELETE FROM photo WHERE id = '$_[0]'") }

sub at_store { my %objects = stored_at_faults($faults); return scalar grep { m{^b/$_[0]/} } keys %objects }

# the store is too busy: the attempt does not count, and yet it was one
rules($faults, { fault => 'slow_down', method => 'PUT', key => '^busy/' });
insert('busy');
is(soon($node, object('busy', q{state || ' ' || attempts || ' ' || tried || ' ' || (lease_until IS NULL)}), 'pending 0 true true'), 'pending 0 true true', 'an attempt that was given back');
remove('busy');
is(soon($node, object('busy', 'state'), 'none'), 'none', 'its row goes');
like(methods('busy'), qr/^PUT( PUT)* DELETE$/, 'and a DELETE is sent');

# what was asked for is done, and nobody says so
rules($faults, { fault => 'close', method => 'PUT', key => '^silent/' });
insert('silent');
is(soon($node, object('silent', q{(state = 'pending' AND attempts > 0 AND lease_until IS NULL)::text}), 'true'), 'true', 'an attempt that fails');
is(at_store('silent'), 1, 'though it got through');
sql(q{UPDATE mediastore.object SET attempts = 0, next_attempt_at = now() + '1 h' WHERE key LIKE 'silent/%'});
remove('silent');
is(soon($node, object('silent', 'state'), 'none'), 'none', 'its row goes');
like(methods('silent'), qr/ DELETE$/, 'and a DELETE is sent');
is(at_store('silent'), 0, 'and nothing is left at the store');
rules($faults);

# what was never begun
sql(q{SELECT media_pause('store')});
insert('never');
is(soon($node, object('never', q{state || ' ' || tried}), 'pending false'), 'pending false', 'a store that is paused');
remove('never');
is(soon($node, object('never', 'state'), 'none'), 'none', 'is spared');
sql(q{SELECT media_resume('store')});

# deleted, while a row wants it again
insert('again');
is(soon($node, object('again', 'state'), 'stored'), 'stored', 'stored');
rules($faults, { fault => 'drip', method => 'DELETE', key => '^again/', count => 1 });
remove('again');
is(soon($node, object('again', q{state || ' ' || (lease_until IS NOT NULL)}), 'deleting true'), 'deleting true', 'while it is being deleted');
# what is under way goes on
sql(q{BEGIN; INSERT INTO photo VALUES ('again', 'content of again'); SELECT media_pause('store'); COMMIT});
is(soon($node, object('again', q{state || ' ' || tried || ' ' || (lease_until IS NULL)}), 'pending false true'), 'pending false true', 'a row wants it: nothing is there, once that is known');
remove('again');
is(soon($node, object('again', 'state'), 'none'), 'none', 'and it is forgotten when that goes');
sql(q{SELECT media_resume('store')});
sql(q{CALL media_drain('30 s')});
is(methods('never'), '', 'nothing was asked for what was never begun');
is(methods('again'), 'PUT DELETE', 'nor twice');
is(scalar(keys %{ { stored_at_faults($faults) } }), 0, 'the store is empty');

$node->stop;
done_testing();
