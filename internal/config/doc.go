// Package config is every setting of the server, once: its name, default, unit,
// help and check. Flags, environment, file and the reference in docs/ all come
// from one table (settings.go).
//
// Sources, the strongest first: flag, environment (COUNTERSIGN_ and the flag's
// name in capitals), file (countersign.toml, the flag's name), default. Only the
// command line reads this package; every other room gets values. Start reading at settings.go.
package config
