// The key store of a Mac, as it is on every other machine: not there.
export class SecureEnclaveProvider {
  isSupported() {
    return false;
  }
}
export class FileVaultStorage {}
export const createVault = () => undefined;
