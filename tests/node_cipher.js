// Encrypts and decrypts as a Node.js service does it with the built-in crypto module: {IV}:{AuthTag}:{Encrypted} in hex.
// Reads a JSON list of {op, key, text, ivBytes?, tagBytes?} from stdin and writes a list of {ok, text} to stdout.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');

function encrypt({ key, text, ivBytes = 12, tagBytes = 16 }) {
  const iv = crypto.randomBytes(ivBytes);
  const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv, { authTagLength: tagBytes });
  const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return [iv, cipher.getAuthTag(), encrypted].map((part) => part.toString('hex')).join(':');
}

function decrypt({ key, text }) {
  const [iv, tag, encrypted] = text.split(':').map((part) => Buffer.from(part, 'hex'));
  const decipher = crypto.createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(encrypted), decipher.final()]).toString('utf8');
}

const answers = JSON.parse(fs.readFileSync(0, 'utf8')).map((request) => {
  try {
    return { ok: true, text: request.op === 'encrypt' ? encrypt(request) : decrypt(request) };
  } catch (error) {
    return { ok: false, text: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
