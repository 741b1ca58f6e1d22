// MQTT.js as a peer of the tests. One JSON object a line comes in as a command, one goes out as an
// answer or an event; see MqttJs in tests/interop/clients.py.
'use strict'
const mqtt = require('mqtt')
const readline = require('readline')

let client
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')

function properties(given) {
  if (!given) return undefined
  const made = { ...given }
  if (made.correlationData) made.correlationData = Buffer.from(made.correlationData)
  return made
}

const commands = {
  connect(c) {
    client = mqtt.connect({
      host: '127.0.0.1', port: c.port, clientId: c.clientId, protocolVersion: c.version,
      protocolId: c.version === 3 ? 'MQIsdp' : 'MQTT', clean: c.clean, reconnectPeriod: 0,
      will: c.will && { ...c.will, payload: Buffer.from(c.will.payload) },
      properties: c.properties, connectTimeout: 10000
    })
    client.on('connect', (ack) => say({ event: 'connected', present: ack.sessionPresent }))
    client.on('message', (topic, payload, packet) => say({
      event: 'message', topic, payload: payload.toString('latin1'), qos: packet.qos,
      retain: packet.retain, user: packet.properties && packet.properties.userProperties,
      contentType: packet.properties && packet.properties.contentType,
      responseTopic: packet.properties && packet.properties.responseTopic
    }))
    client.on('error', (error) => say({ event: 'error', text: error.message }))
    client.on('close', () => say({ event: 'closed' }))
  },
  subscribe(c) {
    client.subscribe(c.filter, { qos: c.qos }, (error) => say({ event: 'subscribed', error }))
  },
  publish(c) {
    const options = { qos: c.qos, retain: c.retain, properties: properties(c.properties) }
    client.publish(c.topic, Buffer.from(c.payload, 'latin1'), options,
      (error) => say({ event: 'published', error }))
  },
  drop() { client.stream.destroy() },
  end() { client.end(false, {}, () => process.exit(0)) }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line)
  commands[command.command](command)
}).on('close', () => process.exit(0))
