/**
 * Packs an envelope, or what only looks like one, for raw PUBLISH: MessagePack of integers, nil,
 * strings, Buffers (as bin) and arrays.
 */

/** @param {unknown[]} items  @returns {Buffer} */
export function envelope(items) {
  return pack(items);
}

function pack(value) {
  if (value === null) return Buffer.from([0xc0]);
  if (Array.isArray(value)) {
    return Buffer.concat([Buffer.from([0x90 | value.length]), ...value.map(pack)]);
  }
  if (typeof value === 'number') return packInteger(value);
  const bytes = Buffer.from(value);
  return Buffer.concat([packLength(Buffer.isBuffer(value) ? 0xc6 : 0xdb, bytes.length), bytes]);
}

function packInteger(value) {
  const bytes = Buffer.alloc(9);
  bytes[0] = value < 0 ? 0xd3 : 0xcf;
  if (value < 0) bytes.writeBigInt64BE(BigInt(value), 1);
  else bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}

function packLength(type, length) {
  const bytes = Buffer.alloc(5);
  bytes[0] = type;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
