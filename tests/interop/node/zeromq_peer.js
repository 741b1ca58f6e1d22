// Node's zeromq as a peer of the tests: one socket, which does what it is told on standard input.
// Each line in is a JSON list, a verb and its arguments; each line out the answer. Bytes travel as
// Latin-1. The other end is tests/interop/zmq/conftest.py; tests/interop/zmq/libzmq_peer.py is the
// same with pyzmq.
'use strict'
const readline = require('readline')
const zeromq = require('zeromq')

const TYPES = {
  PAIR: 'Pair', PUB: 'Publisher', SUB: 'Subscriber', REQ: 'Request', REP: 'Reply', DEALER: 'Dealer',
  ROUTER: 'Router', PULL: 'Pull', PUSH: 'Push', XPUB: 'XPublisher', XSUB: 'XSubscriber',
  STREAM: 'Stream'
}
const DRAFT = {
  SERVER: 'Server', CLIENT: 'Client', RADIO: 'Radio', DISH: 'Dish', GATHER: 'Gather',
  SCATTER: 'Scatter'
}
const toBytes = (part) => Buffer.from(part, 'latin1')
const toText = (part) => part.toString('latin1')
// The methods that a socket's class hides are still there for the numbers of options.
const native = zeromq.Socket.prototype

let socket

const verbs = {
  socket_of(name) {
    const kind = TYPES[name] ? zeromq[TYPES[name]] : require('zeromq/draft')[DRAFT[name]]
    socket = new kind({ linger: 2000 })
    for (const timeout of ['sendTimeout', 'receiveTimeout']) {
      if (timeout in socket) socket[timeout] = 10000
    }
  },
  set(name, value) { socket[name] = typeof value === 'string' ? toBytes(value) : value },
  set_number(option, value) { native.setInt32Option.call(socket, option, value) },
  async bind(endpoint) {
    await socket.bind(endpoint)
    return socket.lastEndpoint
  },
  connect(endpoint) { socket.connect(endpoint) },
  subscribe(...prefixes) { socket.subscribe(...prefixes.map(toBytes)) },
  unsubscribe(...prefixes) { socket.unsubscribe(...prefixes.map(toBytes)) },
  join(...groups) { native.join.call(socket, ...groups.map(toBytes)) },
  send(parts) { return socket.send(parts.map(toBytes)) },
  send_to(routingId, text) { return socket.send(toBytes(text), { routingId }) },
  send_group(group, text) { return socket.send(toBytes(text), { group }) },
  async send_run(count, size) {
    for (let number = 0; number < count; number++) {
      await socket.send(`${number}${'.'.repeat(size)}`)
    }
  },
  async receive() { return (await socket.receive()).map(toText) },
  // Of sockets that say with a message whom it is from, or what group it is of.
  async receive_with() {
    const [body, more] = await socket.receive()
    return [toText(body), more.routingId === undefined ? toText(more.group) : more.routingId]
  },
  async receive_run(count) {
    const numbers = []
    let total = 0
    for (let left = count; left > 0; left--) {
      const [body] = await socket.receive()
      numbers.push(parseInt(body.toString('latin1', 0, 20), 10))
      total += body.length
    }
    return [numbers, total]
  },
  // A bound subscriber of libzmq does nothing with a new peer until its program calls it.
  poke() { return socket.readable },
  close() { socket.close() }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, ...rest] = JSON.parse(line)
    let answer
    try {
      const ok = await verbs[verb](...rest)
      answer = { ok: ok === undefined ? null : ok }
    } catch (error) {
      answer = { errno: error.errno || -1, text: String(error) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  if (socket && !socket.closed) socket.close()
}

main()
