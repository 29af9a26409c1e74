/**
 * Decodes the part of MessagePack that an envelope may use: integers, nil, strings, arrays. All
 * else is an error, floats above all: an epoch must not come as one.
 */

/** @param {Buffer} bytes */
export function decodeMsgpack(bytes) {
  let at = 0;

  const uint = (size) => {
    at += size;
    return size === 8 ? Number(bytes.readBigUInt64BE(at - 8)) : bytes.readUIntBE(at - size, size);
  };
  const string = (length) => {
    at += length;
    if (at > bytes.length) throw new Error('msgpack: a string is cut off');
    return bytes.toString('utf8', at - length, at);
  };
  const array = (length) => Array.from({ length }, () => value());
  const value = () => {
    const type = bytes[at++];
    if (type <= 0x7f) return type;
    if (type >= 0x90 && type <= 0x9f) return array(type & 0x0f);
    if (type >= 0xa0 && type <= 0xbf) return string(type & 0x1f);
    if (type === 0xc0) return null;
    if (type >= 0xcc && type <= 0xcf) return uint(1 << (type - 0xcc));
    if (type >= 0xd9 && type <= 0xdb) return string(uint(1 << (type - 0xd9)));
    throw new Error(`msgpack: type 0x${type?.toString(16)} has no place in an envelope`);
  };

  const decoded = value();
  if (at !== bytes.length) throw new Error(`msgpack: ${bytes.length - at} bytes too many`);
  return decoded;
}
