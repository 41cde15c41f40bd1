-- What test/bench measures against: the same job in PL/Python with Pillow, as
-- it is usually written; and the bench's own small functions.
CREATE EXTENSION plpython3u;

CREATE FUNCTION peer_compress(img bytea, max_bytes int DEFAULT 500 * 1024) RETURNS bytea
LANGUAGE plpython3u STRICT IMMUTABLE PARALLEL SAFE AS $py$
    if 'pil' not in SD:
        import io
        from PIL import Image, ImageOps
        SD['pil'] = (io, Image, ImageOps)
    io, Image, ImageOps = SD['pil']
    im = Image.open(io.BytesIO(img))
    im = ImageOps.exif_transpose(im)
    im = im.convert('RGB')
    im.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
    data = None
    for q in (85, 75, 60, 50, 40):
        out = io.BytesIO()
        im.save(out, 'WEBP', quality=q)
        data = out.getvalue()
        if len(data) <= max_bytes:
            break
    return data
$py$;

CREATE FUNCTION peer_info(img bytea) RETURNS text
LANGUAGE plpython3u STRICT IMMUTABLE PARALLEL SAFE AS $py$
    if 'pil' not in SD:
        import io
        from PIL import Image
        SD['pil'] = (io, Image)
    io, Image = SD['pil']
    im = Image.open(io.BytesIO(img))
    return '%s %dx%d' % (im.format, im.width, im.height)
$py$;

CREATE TABLE picture (name text PRIMARY KEY, data bytea NOT NULL);
ALTER TABLE picture ALTER data SET STORAGE EXTERNAL;

-- Compresses one picture many times, its bytes in memory: what remains is
-- media_compress itself.
CREATE FUNCTION compress_flat(picture_name text, runs int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	flat bytea := (SELECT substr(data, 1) FROM picture WHERE name = picture_name);
	length int;
BEGIN
	FOR i IN 1 .. runs LOOP
		length := octet_length(media_compress(flat));
	END LOOP;
	RETURN length;
END $$;

-- Microseconds a call; the last is the loop and the look-up of the row alone.
CREATE FUNCTION time_info(picture_name text, runs int, what text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz; info media_info; answer text; nothing boolean;
BEGIN
	began := clock_timestamp();
	CASE what
		WHEN 'media_info' THEN
			FOR i IN 1 .. runs LOOP
				SELECT media_info(data) INTO info FROM picture WHERE name = picture_name;
			END LOOP;
		WHEN 'media_format' THEN
			FOR i IN 1 .. runs LOOP
				SELECT media_format(data) INTO answer FROM picture WHERE name = picture_name;
			END LOOP;
		WHEN 'peer_info' THEN
			FOR i IN 1 .. runs LOOP
				SELECT peer_info(data) INTO answer FROM picture WHERE name = picture_name;
			END LOOP;
		ELSE
			FOR i IN 1 .. runs LOOP
				SELECT data IS NULL INTO nothing FROM picture WHERE name = picture_name;
			END LOOP;
	END CASE;
	RETURN 1000000 * extract(epoch FROM clock_timestamp() - began) / runs;
END $$;
