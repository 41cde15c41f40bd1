# test/bench/common.sh: what test/bench/run and test/bench/columns share.
#
# Sourced, not run, with the arguments of the bench.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# Reads FOLDER [RUNS] and sets up a server with an extension built as users
# build it.
bench_begin() { # NAME DEFAULT-RUNS [KIND NAME PACKAGE ...] -- FOLDER [RUNS]
	local name=$1 needs=() package
	BENCH_RUNS=$2
	shift 2
	while [ "$1" != -- ]; do
		needs+=("$1")
		shift
	done
	shift
	[ $# -ge 1 ] && [ $# -le 2 ] && [ -d "$1" ] || { echo "usage: test/bench/$name FOLDER [RUNS]" >&2; exit 2; }
	FOLDER=$(cd -- "$1" && pwd)
	BENCH_RUNS=${2:-$BENCH_RUNS}
	[[ $BENCH_RUNS =~ ^[1-9][0-9]*$ ]] || { echo "test/bench/$name: RUNS is a number" >&2; exit 2; }

	setup_begin bench
	find_postgres		# for $MAJOR
	setup_packages python psycopg2 python3-psycopg2 "${needs[@]//MAJOR/$MAJOR}"
	setup_sources
	setup_build
	server_start "shared_buffers = 256MB"
	step "creating the extension" sql 'CREATE EXTENSION mediastore'
	BENCH_VERSIONS="PostgreSQL $("$PG_CONFIG" --version | awk '{print $2}')$(
		for package in libjpeg libpng libwebp libtiff-4 lcms2 zimg libseccomp; do
			printf ', %s %s' "$package" "$(pkg-config --modversion "$package" 2>/dev/null)"
		done)"
	export BENCH_RUNS BENCH_VERSIONS PYTHONDONTWRITEBYTECODE=1
}
