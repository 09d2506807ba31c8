package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/token"
	"countersign.dev/internal/config"
)

func newKeysCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "See and replace the keys that sign tokens",
		Long: `See and replace the keys that sign tokens. Servers replace them by themselves
(rotate-keys-every). All of this works while they run: each notices within a
second.

A new key is pending for 15 minutes, until no cache is without it, then active,
until another takes its place; it is retiring for 25 hours, while what it signed
may still live, and then gone.`,
	}
	config.Bind(cmd.PersistentFlags(), "data", "database", "secret-file")
	cmd.AddCommand(newKeysList(env), newKeysRotate(env), newKeysRetire(env))
	return cmd
}

func newKeysList(env *Env) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys that sign, did or will",
		Example: `  countersign keys list
  countersign keys list --all --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, env, func(ctx context.Context, store contract.Store) error {
				now := env.Now()
				since := now
				if all {
					since = time.Time{}
				}
				keys, err := store.SigningKeys(ctx, since)
				if err != nil {
					return fail(ExitFailed, "listing keys", err, "")
				}
				if asJSON {
					return printKeys(env, keys, now)
				}
				var rows [][]string
				for _, k := range keys {
					rows = append(rows, []string{k.ID, k.Algorithm, keyState(k, now), keyTime(k.SignsFrom), keyTime(k.SignsUntil), keyTime(k.LeavesAt)})
				}
				return printList(env, []string{"KEY", "ALGORITHM", "STATE", "SIGNS FROM", "UNTIL", "GONE FROM"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that are gone as well")
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON object, with the public keys")
	return cmd
}

// keyState is a key's state; of a withdrawn key it is said why it is gone.
func keyState(k authz.SigningKey, now time.Time) string {
	if !k.WithdrawnAt.IsZero() {
		return "withdrawn"
	}
	return string(k.StateAt(now))
}

func keyTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return unixTime(t.Unix())
}

// keyListed is a key as programs read it; times in Unix seconds.
type keyListed struct {
	ID          string           `json:"kid"`
	Algorithm   string           `json:"alg"`
	State       string           `json:"state"`
	CreatedAt   int64            `json:"created_at"`
	SignsFrom   int64            `json:"signs_from"`
	SignsUntil  int64            `json:"signs_until,omitempty"`
	LeavesAt    int64            `json:"leaves_at,omitempty"`
	WithdrawnAt int64            `json:"withdrawn_at,omitempty"`
	Public      *jose.JSONWebKey `json:"jwk,omitempty"`
}

func printKeys(env *Env, keys []authz.SigningKey, now time.Time) error {
	seconds := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	listed := make([]keyListed, len(keys))
	for i, k := range keys {
		listed[i] = keyListed{
			ID: k.ID, Algorithm: k.Algorithm, State: keyState(k, now), CreatedAt: seconds(k.CreatedAt), SignsFrom: seconds(k.SignsFrom),
			SignsUntil: seconds(k.SignsUntil), LeavesAt: seconds(k.LeavesAt), WithdrawnAt: seconds(k.WithdrawnAt),
		}
		if len(k.Public) == 0 {
			continue // no server has started since keys are kept with their public halves
		}
		public, err := token.PublicHalf(k)
		if err != nil {
			return fail(ExitFailed, "reading the public half", err, "")
		}
		listed[i].Public = &public
	}
	b, err := json.MarshalIndent(map[string]any{"keys": listed}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, string(b))
	return err
}

// withKeys runs fn on the signing keys of the settings in force, with the secret that
// seals them.
func withKeys(cmd *cobra.Command, env *Env, doing string, fn func(ctx context.Context, keys *token.Keys) error) error {
	const which = `Name the servers' own with --secret-file; where one was started without, it is the file "secret" in its data directory`
	return withStore(cmd, env, func(ctx context.Context, store contract.Store) error {
		settings, err := storeSettings(cmd, env)
		if err != nil {
			return err
		}
		master, err := keptSecret(settings)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && settings.SecretFile == "" {
				err = errors.New("there is no secret here that a new key could be sealed with")
			}
			return fail(secretCode(settings), doing, err, which)
		}
		secrets, err := secret.Derive(master, env.Rand)
		if err != nil {
			return fail(secretCode(settings), doing, err, which)
		}
		err = fn(ctx, token.NewKeys(store, secrets, env.Now, 0))
		if errors.Is(err, authz.ErrOtherSecret) {
			return fail(ExitFailed, doing, errors.New("the keys in the database were not sealed with this secret"), which)
		}
		return failing(ExitFailed, doing, err, "")
	})
}

func newKeysRotate(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate [ALGORITHM]",
		Short: "Make a new key for each algorithm, or for one",
		Example: `  countersign keys rotate
  countersign keys rotate ES256 --data /var/lib/countersign`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			algorithms := token.SigningAlgs()
			if len(args) > 0 {
				if !slices.Contains(algorithms, args[0]) {
					return usage("the algorithm must be one of %s", strings.Join(algorithms, ", "))
				}
				algorithms = args
			}
			return withKeys(cmd, env, "rotating keys", func(ctx context.Context, keys *token.Keys) error {
				there, err := keys.Rotate(ctx, algorithms...)
				for _, alg := range algorithms {
					if err == nil {
						fmt.Fprintf(env.Stderr, "%s.\n", nextKey(there, alg, env.Now()))
					}
				}
				return err
			})
		},
	}
}

// nextKey says which key of an algorithm signs from when on, and is the last to do so.
func nextKey(keys []authz.SigningKey, alg string, now time.Time) string {
	i := slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.Algorithm == alg && k.SignsUntil.IsZero() })
	if keys[i].StateAt(now) == authz.KeyActive {
		return fmt.Sprintf("The %s key %s signs", alg, keys[i].ID)
	}
	return fmt.Sprintf("The %s key %s is published, and signs from %s on", alg, keys[i].ID, keyTime(keys[i].SignsFrom))
}

func newKeysRetire(env *Env) *cobra.Command {
	var atOnce bool
	cmd := &cobra.Command{
		Use:   "retire KEY",
		Short: "Have another key sign in the place of one",
		Long: `Have another key sign in the place of one, in 15 minutes; what the old one
signed stays good until it ends.

With --now, for a key that somebody else may have: it is withdrawn, the next one
signs at once, and what the old one signed is refused. Devices renew their
tokens, and need not sign in again. APIs that check tokens by themselves accept
the old key until they fetch the key set again: in five minutes, if they do as
its header says.`,
		Example: `  countersign keys retire NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
  countersign keys retire NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --now`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd, env, "retiring "+args[0], func(ctx context.Context, keys *token.Keys) error {
				return retireKey(ctx, env, keys, args[0], atOnce)
			})
		},
	}
	cmd.Flags().BoolVar(&atOnce, "now", false, "withdraw it at once: nothing it signed counts any more")
	return cmd
}

func retireKey(ctx context.Context, env *Env, keys *token.Keys, id string, atOnce bool) error {
	retire := keys.Retire
	if atOnce {
		retire = keys.Withdraw
	}
	there, err := retire(ctx, id)
	if errors.Is(err, contract.ErrNotFound) {
		return fail(ExitFailed, "retiring "+id, errors.New("no such key signs, or will"), `"countersign keys list" shows those that do`)
	}
	if err != nil {
		return err
	}
	retired := there[slices.IndexFunc(there, func(k authz.SigningKey) bool { return k.ID == id })]
	if atOnce {
		fmt.Fprintf(env.Stderr, "Withdrawn. What it signed is refused within a second.\n")
	} else {
		fmt.Fprintf(env.Stderr, "It signs until %s, and is published until %s.\n", keyTime(retired.SignsUntil), keyTime(retired.LeavesAt))
	}
	fmt.Fprintf(env.Stderr, "%s.\n", nextKey(there, retired.Algorithm, env.Now()))
	return nil
}
