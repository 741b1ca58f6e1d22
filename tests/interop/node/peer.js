// MQTT.js as a peer of the tests. One JSON object a line comes in as a command, one goes out as an
// answer or an event, with the number of the client that it is of; the other end is
// tests/interop/mqttjs_client.py. Bytes travel as Latin-1.
'use strict'
const mqtt = require('mqtt')
const readline = require('readline')

const clients = new Map()

function toPacket(properties) {
  if (!properties) return undefined
  const made = { ...properties }
  if (made.correlationData) made.correlationData = Buffer.from(made.correlationData, 'latin1')
  return made
}

function toJson(properties) {
  const made = { ...properties }
  if (made.correlationData) made.correlationData = made.correlationData.toString('latin1')
  return made
}

const commands = {
  connect(c, say) {
    const five = c.version === 5
    const client = mqtt.connect({
      host: '127.0.0.1', port: c.port, clientId: c.clientId, protocolVersion: c.version,
      protocolId: c.version === 3 ? 'MQIsdp' : 'MQTT', clean: c.clean, reconnectPeriod: 0,
      will: c.will && { ...c.will, payload: Buffer.from(c.will.payload, 'latin1') },
      properties: five ? c.properties : undefined, connectTimeout: 10000
    })
    clients.set(c.client, client)
    client.on('connect', () => say({ event: 'connected' }))
    client.on('message', (topic, payload, packet) => say({
      event: 'message', topic, payload: payload.toString('latin1'), qos: packet.qos,
      retain: packet.retain, properties: toJson(packet.properties)
    }))
    client.on('error', (error) => say({ event: 'error', text: error.message }))
    client.on('close', () => say({ event: 'closed' }))
  },
  subscribe(c, say, client) {
    client.subscribe(c.filter, { qos: c.qos },
      (error) => say({ event: 'subscribed', error: error && error.message }))
  },
  publish(c, say, client) {
    const options = { qos: c.qos, retain: c.retain, properties: toPacket(c.properties) }
    let missing = c.payloads.length
    let failure
    for (const payload of c.payloads) {
      client.publish(c.topic, Buffer.from(payload, 'latin1'), options, (error) => {
        failure = failure || (error && error.message)
        if (--missing === 0) say({ event: 'published', error: failure })
      })
    }
  },
  drop(c, say, client) { client.stream.destroy() },
  end(c, say, client) { client.end() }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line)
  const say = (event) =>
    process.stdout.write(JSON.stringify({ client: command.client, ...event }) + '\n')
  commands[command.command](command, say, clients.get(command.client))
}).on('close', () => process.exit(0))
