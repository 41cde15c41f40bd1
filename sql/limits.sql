-- limits, and what names them
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


-- by the header's claim, before anything is allocated
SELECT media_compress(data) FROM picture WHERE name = 'claim: png 100000x100000';

SET mediastore.max_pixels = 511;
SELECT media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
SET mediastore.max_pixels = 512;
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'jpeg 32x16';

-- frames count, unless only the first is wanted
SET mediastore.max_pixels = 31;
SELECT media_compress(data) FROM picture WHERE name = 'gif 4x4, 2 frames';
SELECT media_format(media_compress(data, animation => 'first')) FROM picture WHERE name = 'gif 4x4, 2 frames';
SET mediastore.max_pixels = 32;
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'gif 4x4, 2 frames';
RESET mediastore.max_pixels;

SET mediastore.max_frames = 1;
SELECT media_compress(data) FROM picture WHERE name = 'gif 4x4, 2 frames';
SELECT media_format(media_compress(data, animation => 'first')) FROM picture WHERE name = 'gif 4x4, 2 frames';
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'gif 4x4';
RESET mediastore.max_frames;

-- facts are not limited: they cost nothing
SET mediastore.max_input_bytes = 100;
SELECT media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
SELECT media_width(data) FROM picture WHERE name = 'jpeg 32x16';
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
RESET mediastore.max_input_bytes;

-- formats
SHOW mediastore.formats;
SET mediastore.formats = 'png, GIF';
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
SET mediastore.formats = 'png, svg';
SET mediastore.formats = 'png,,';
SHOW mediastore.formats;
SET mediastore.formats = '';
SELECT media_compress(data) FROM picture WHERE name = 'png 3x2';
RESET mediastore.formats;

-- ranges and units; the messages' words differ between PostgreSQL's versions
\set VERBOSITY sqlstate
SET mediastore.max_pixels = 0;
SET mediastore.max_input_bytes = '2GB';
SET mediastore.codec_memory = '1MB';
SET mediastore.helper_idle = 0;
\set VERBOSITY default
SET mediastore.max_input_bytes = '10MB';
SHOW mediastore.max_input_bytes;
SET mediastore.codec_timeout = '2min';
SHOW mediastore.codec_timeout;
SET mediastore.no_such_setting = 1;
RESET ALL;
SELECT name, setting, unit, context, min_val, max_val FROM pg_settings WHERE name LIKE 'mediastore.%' ORDER BY name;
