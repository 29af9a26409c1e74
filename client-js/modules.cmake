# The client's modules, each after those that it imports: in this order they make one file.
set(FRESHET_CLIENT_MODULES
    error.js events.js backoff.js continuity.js sse_parser.js token.js ladder.js http.js publish.js
    reader.js subscription.js
    transports/http_link.js transports/websocket.js transports/sse.js transports/polling.js
    connection.js client.js index.js)
list(TRANSFORM FRESHET_CLIENT_MODULES PREPEND ${CMAKE_CURRENT_LIST_DIR}/src/)
