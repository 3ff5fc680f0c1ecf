-- Every search reads what waits to be put into the index, and whoever fills the list puts all of it in, amid a customer's write:
-- with 4 MB, PostgreSQL's own limit, searches took twice as long and one write in a hundred 200 ms. In parts of 64 kB a write costs
-- the same.
ALTER INDEX customers_doc SET (gin_pending_list_limit = 64);
