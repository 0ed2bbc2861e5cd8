// The shared store's schema: its history, which each gateway that starts brings up to date.
//
// weir_store_item    one row an item; `body` NULL: removed, kept for a while so that a gateway that was away learns of it.
// weir_store_change  one row.  Each write takes its number from it and holds the row until it is committed: numbers are seen in
//                    the order of commits, so that "all above the last one seen" misses nothing.
// weir_store_number  the next of each sequence.
#pragma once
#include <array>
#include <string_view>

namespace weir::store {

// Number N brings the schema from N - 1 to N.  Never changed once released, only added to.
inline constexpr std::array<std::string_view, 1> kPostgresMigrations = {R"SQL(
CREATE TABLE weir_store_item (
  kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, gateway text NOT NULL, writer bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(), change bigint NOT NULL, body text, PRIMARY KEY (kind, id));
CREATE INDEX weir_store_item_change ON weir_store_item (change);
CREATE TABLE weir_store_change (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), last bigint NOT NULL, purged bigint NOT NULL);
INSERT INTO weir_store_change (last, purged) VALUES (0, 0);
CREATE TABLE weir_store_number (sequence text PRIMARY KEY, next bigint NOT NULL);
CREATE FUNCTION weir_store_write(by_writer bigint, by_gateway text, writes json) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
  one record; stamp bigint; touched bigint;
BEGIN
  UPDATE weir_store_change SET last = last + 1 RETURNING last INTO stamp;
  FOR one IN SELECT w.kind, w.id, w.expected, w.body FROM json_to_recordset(writes) AS w (kind text, id text, expected bigint, body text) LOOP
    IF one.body IS NULL AND one.expected = 0 THEN
      SELECT CASE WHEN EXISTS (SELECT FROM weir_store_item i WHERE i.kind = one.kind AND i.id = one.id AND i.body IS NOT NULL) THEN 0 ELSE 1 END INTO touched;
    ELSIF one.body IS NULL THEN
      UPDATE weir_store_item i SET body = NULL, gateway = by_gateway, writer = by_writer, changed_at = now(), change = stamp
        WHERE i.kind = one.kind AND i.id = one.id AND i.version = one.expected AND i.body IS NOT NULL;
      GET DIAGNOSTICS touched = ROW_COUNT;
    ELSIF one.expected = 0 THEN
      INSERT INTO weir_store_item AS i (kind, id, version, gateway, writer, change, body) VALUES (one.kind, one.id, 1, by_gateway, by_writer, stamp, one.body)
        ON CONFLICT (kind, id) DO UPDATE SET version = 1, gateway = by_gateway, writer = by_writer, changed_at = now(), change = stamp, body = one.body
        WHERE i.body IS NULL;
      GET DIAGNOSTICS touched = ROW_COUNT;
    ELSE
      UPDATE weir_store_item i SET version = i.version + 1, gateway = by_gateway, writer = by_writer, changed_at = now(), change = stamp, body = one.body
        WHERE i.kind = one.kind AND i.id = one.id AND i.version = one.expected AND i.body IS NOT NULL;
      GET DIAGNOSTICS touched = ROW_COUNT;
    END IF;
    IF touched <> 1 THEN
      RAISE EXCEPTION USING ERRCODE = 'WR001', MESSAGE = one.kind || ' ' || one.id || ' was changed meanwhile';
    END IF;
  END LOOP;
  PERFORM pg_notify('weir_store', stamp::text);
  RETURN stamp;
END
$body$;
)SQL"};
inline constexpr int kPostgresSchema = static_cast<int>(kPostgresMigrations.size());

}  // namespace weir::store
