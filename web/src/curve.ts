// Everything that has to do with keys, behind one import: page.ts loads it when a
// screen needs a key, so that no first view carries the curve.

/*! Contains @noble/curves and @noble/hashes, MIT License (c) 2022 Paul Miller (paulmillr.com) */

export { type Backup, decryptBackup, keyBackup, type Kind, masterBackup, memberBackup, parseBackup } from "./crypto/backup";
export { isEncrypted, iterations, NotABackupError, WrongPasswordError } from "./crypto/bep";
export { EnvelopeError } from "./crypto/brc77";
export { type Bytes, type Random, systemRandom } from "./crypto/bytes";
export { Identity } from "./crypto/identity";
export { KeyError } from "./crypto/keys";
export { LockedError, type Signer } from "./crypto/signer";
export { authHeader, authToken } from "./crypto/token";
export { type CWI, findWallet, WalletError, walletSigner } from "./crypto/wallet";
export { createIdentity, type Enrolled, needsPassword, readBackup, takeIdentity } from "./enrol";
export * from "./signing";
export { checkStatement, parseStatement, type Shown, type Statement, StatementError } from "./statement";
export { type Clock, idleMilliseconds, systemClock, Vault } from "./vault";
