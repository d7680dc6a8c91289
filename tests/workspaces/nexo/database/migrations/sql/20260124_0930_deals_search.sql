-- Built without holding up writers, so outside a transaction.
CREATE INDEX CONCURRENTLY deals_title_search ON deals USING gin (to_tsvector('simple', title));
