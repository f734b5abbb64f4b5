-- Sends no head twice: query, cookie and user agent of a browser's head hold a number that grows with every request.
-- The first argument after the URL is where it starts. Joined by hand: wrk.format costs the load generator more.

local start, count, before_agent, before_cookie

function init(args)
  start = args[1]
  count = 0
  before_agent = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
    .. "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0 "
  before_cookie = "\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8"
    .. "\r\nAccept-Encoding: gzip, deflate, br"
    .. "\r\nCookie: session="
end

function request()
  count = count + 1
  local number = start .. "-" .. count
  return "GET /?q=" .. number .. before_agent .. number .. before_cookie .. number .. "\r\n\r\n"
end
