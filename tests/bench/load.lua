-- Load for wrk: makes the requests of one row and counts the answers by status. The row and its inputs come from the
-- environment: BENCH_ROW, BENCH_BASE (path of the workspace), BENCH_TOKEN, BENCH_NODE, BENCH_IDS (file with customer ids), BENCH_KEYS
-- (customers bench-1 to bench-N), BENCH_RATE (requests per second; 0: as fast as answers come).

local row, base = os.getenv("BENCH_ROW"), os.getenv("BENCH_BASE")
local node, run = os.getenv("BENCH_NODE"), os.getenv("BENCH_RUN")
local headers = { ["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN"), ["Content-Type"] = "application/json" }
local last_offset, last_ms = tonumber(os.getenv("BENCH_LAST_OFFSET")), tonumber(os.getenv("BENCH_LAST_MS"))
local empty_node = os.getenv("BENCH_EMPTY_NODE")
local keys, rate = tonumber(os.getenv("BENCH_KEYS")), tonumber(os.getenv("BENCH_RATE"))
local ids = {}
for id in io.lines(os.getenv("BENCH_IDS")) do
	ids[#ids + 1] = id
end

local thread_number = 0
function setup(thread)
	thread:set("number", thread_number)
	thread_number = thread_number + 1
	thread:set("good", 0)
	thread:set("bad", 0)
end

local serial = 0
local function unique()
	serial = serial + 1
	return run .. "-" .. number .. "-" .. serial
end

local function pick()
	return ids[math.random(#ids)]
end

local function order(target)
	return '{"type":"completedOrder","context":"ECOMMERCE",' .. target ..
		',"properties":{"orderId":"' .. unique() .. '","type":"sale","storeCode":"MI01","paymentMethod":"creditcard",' ..
		'"amount":{"total":61.5,"revenue":50.0,"shipping":5.5,"tax":11.0,"discount":5.0},"products":[{"id":"P-100","sku":"SKU-100",' ..
		'"name":"Compact disc","price":20.5,"quantity":3}]},"date":"2026-03-0' .. math.random(9) .. 'T10:11:12.000Z"}'
end

local function known()
	return "bench-" .. math.random(keys)
end

local function customer(key)
	return '{"nodeId":"' .. node .. '","externalId":"' .. key .. '","base":{"firstName":"Ada","lastName":"L' .. unique() ..
		'","contacts":{"email":"' .. key .. '@example.com","mobilePhone":"+39 02 000"},"address":{"city":"Milano","country":"IT"}},' ..
		'"tags":{"manual":["vip"]}}'
end

local function page(first, last)
	return base .. "/updates?size=4000&offset=" .. math.random(math.max(math.floor(first), 0), math.max(math.floor(last), math.floor(first), 0))
end

local function encoded(text)
	return (text:gsub("[^%w]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function condition(attribute, value)
	return '{"type":"atomic","attribute":"' .. attribute .. '","operator":"EQUALS","value":"' .. value .. '"}'
end

-- Two properties that the loaded customers have in a hundred and in ninety-seven values.
local function two_conditions()
	return '{"name":"bench","query":{"type":"simple","are":{"condition":{"type":"composite","conjunction":"and","conditions":[' ..
		condition("base.lastName", "L" .. math.random(0, 99)) .. "," .. condition("base.address.city", "C" .. math.random(0, 96)) ..
		"]}}}}"
end

local function statistic(name)
	return wrk.format("GET", base .. "/stats/" .. name .. "?nodeId=" .. node .. "&start=2026-03-01T00:00:00Z&end=2026-03-31T00:00:00Z", headers)
end

local function bring_back(kind, value)
	return '"bringBackProperties":{"type":"' .. kind .. '","value":"' .. value .. '","nodeId":"' .. node .. '"}'
end

local rows = {
	live = function() return wrk.format("GET", "/hub/v1/health/live", headers) end,
	event = function() return wrk.format("POST", base .. "/events", headers, order('"customerId":"' .. pick() .. '"')) end,
	session_event = function()
		return wrk.format("POST", base .. "/events", headers, order(bring_back("SESSION_ID", "s" .. math.random(100000))))
	end,
	bound_event = function() return wrk.format("POST", base .. "/events", headers, order(bring_back("EXTERNAL_ID", known()))) end,
	customer_create = function() return wrk.format("POST", base .. "/customers", headers, customer(unique())) end,
	customer_merge = function() return wrk.format("POST", base .. "/customers", headers, customer(known())) end,
	customer_post = function()
		return wrk.format("POST", base .. "/customers", headers, customer(math.random(2) == 1 and unique() or known()))
	end,
	customer_by_query = function()
		return wrk.format("GET", base .. "/customers?nodeId=" .. node .. "&query=" .. encoded(two_conditions()), headers)
	end,
	stats_snapshot = function() return wrk.format("GET", base .. "/stats/customers-snapshot?nodeId=" .. node, headers) end,
	stats_purchases = function() return statistic("events-kpi/purchases") end,
	stats_types = function() return statistic("event-type-context-distribution") end,
	customer_get = function() return wrk.format("GET", base .. "/customers/" .. pick(), headers) end,
	customer_by_key = function()
		return wrk.format("GET", base .. "/customers?nodeId=" .. node .. "&externalId=" .. known(), headers)
	end,
	-- pages of 4,000 entries from the earlier and from the later half of the stream
	updates = function()
		return wrk.format("GET", page(0, last_offset / 2 - 4000), headers)
	end,
	updates_scattered = function()
		return wrk.format("GET", page(last_offset / 2 + 4000, last_offset - 4000), headers)
	end,
	updates_rare = function()
		return wrk.format("GET", base .. "/updates?size=4000&nodeId=" .. empty_node .. "&offset=" .. math.random(0, last_offset), headers)
	end,
	updates_time = function()
		return wrk.format("GET", base .. "/updates?size=1&timestamp=" .. math.floor(last_ms - math.random(0, 10000)), headers)
	end,
	customer_events = function() return wrk.format("GET", base .. "/events?customerId=" .. pick(), headers) end,
}

-- Every request has its moment; a connection that is free waits for the next one.
local ffi = require("ffi")
ffi.cdef("struct bench_time { long s, ns; }; int clock_gettime(int clock, struct bench_time *time);")
local clock, next_ms = ffi.new("struct bench_time"), 0
local function paced()
	ffi.C.clock_gettime(1, clock)
	local now_ms = tonumber(clock.s) * 1000 + tonumber(clock.ns) / 1e6
	next_ms = math.max(next_ms + 1000 / rate, now_ms - 100)
	return math.max(math.floor(next_ms - now_ms + 0.5), 0)
end
if rate > 0 then
	delay = paced
end

function init()
	math.randomseed(number + 1)
	request = rows[row]
end

function response(status)
	if status >= 200 and status < 300 then
		good = good + 1
	else
		bad = bad + 1
	end
end

local threads = {}
local first_setup = setup
function setup(thread)
	first_setup(thread)
	threads[#threads + 1] = thread
end

function done(summary, latency)
	local good_sum, bad_sum = 0, 0
	for _, thread in ipairs(threads) do
		good_sum = good_sum + thread:get("good")
		bad_sum = bad_sum + thread:get("bad")
	end
	io.write(string.format("RESULT %d %d %.3f %.3f %.3f %.6f\n", good_sum, bad_sum, latency:percentile(50) / 1000,
		latency:percentile(95) / 1000, latency:percentile(99) / 1000, summary.duration / 1e6))
end
