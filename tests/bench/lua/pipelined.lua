-- Sends 16 requests at once on each connection, as the plaintext test of TechEmpower's benchmarks does.

local batch

function init(args)
  batch = string.rep(wrk.format("GET", "/"), 16)
end

function request()
  return batch
end
