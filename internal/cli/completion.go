package cli

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/authz/token"
	"countersign.dev/internal/config"
)

// completionTime is how long a shell waits for names.
const completionTime = time.Second

// addCompletion has the shell complete what is known, without a question. Only grants are
// asked for at a server, with a token that is at hand. Where nothing is known it offers
// no files.
func addCompletion(root *cobra.Command, env *Env) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	identities := fromHome(env, (*home).identityWords)
	accounts := fromHome(env, (*home).accountWords)
	clients := func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return clientWords(cmd, env), cobra.ShellCompDirectiveNoFileComp
	}
	keys := func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return keyWords(cmd, env), cobra.ShellCompDirectiveNoFileComp
	}
	grants := func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return grantWords(cmd, env), cobra.ShellCompDirectiveNoFileComp
	}
	arguments := map[string]cobra.CompletionFunc{
		"countersign identity show": identities, "countersign identity export": identities, "countersign identity use": identities,
		"countersign identity import": files, "countersign receipt verify": files,
		"countersign agents verify": files, "countersign agents kill-switch": files,
		"countersign grants revoke": grants, "countersign receipt show": grants,
		"countersign accounts switch": accounts, "countersign clients show": clients, "countersign clients remove": clients,
		"countersign keys retire": keys, "countersign keys rotate": words(token.SigningAlgs()...),
	}
	flags := map[string]cobra.CompletionFunc{
		"identity": identities, "server": fromHome(env, (*home).serverWords), "password-file": files, "new-password-file": files, "out": files, "config": files, "logo": files, "secret-file": files,
		"data": files, "format": words("plain", "header", "env", "json"), "scheme": words("brc77", "bsm"), "token-store": words("keyring", "encrypted", "plain"),
		"id-token-alg": words("ES256", "RS256", "EdDSA"), "require-approval": words("signature"),
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if complete := arguments[c.CommandPath()]; complete != nil {
			c.ValidArgsFunction = firstOnly(complete)
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			complete := flags[f.Name]
			if choices := config.Choices(f); complete == nil && choices != nil {
				complete = words(choices...)
			}
			if complete != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, complete) // it is a flag, and none has another
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// files leaves it to the shell, which knows files.
func files(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func words(choices ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
}

// firstOnly completes the first argument: no command takes two.
func firstOnly(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

// fromHome completes what the configuration directory knows.
func fromHome(env *Env, known func(*home) []cobra.Completion) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		h, err := openHome(env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return known(h), cobra.ShellCompDirectiveNoFileComp
	}
}

// word is something to complete and what is said of it; none for what a shell would not
// take as one word, or a command for a flag: servers have a part in it.
func word(text, of string) []cobra.Completion {
	if !plainWord.MatchString(text) || strings.HasPrefix(text, "-") {
		return nil
	}
	return []cobra.Completion{cobra.CompletionWithDesc(text, printable(of))}
}

// identityWords are the names of identities, or the ids of those that share one.
func (h *home) identityWords() (all []cobra.Completion) {
	there, err := h.identities()
	if err != nil {
		return nil
	}
	named := map[string]int{}
	for _, e := range there {
		named[e.Name]++
	}
	for _, e := range there {
		if named[e.Name] > 1 {
			all = append(all, word(e.BAPID, e.Name)...)
			continue
		}
		all = append(all, word(e.Name, e.BAPID)...)
	}
	return all
}

// accountWords are the servers of accounts, or the ids of those that share one.
func (h *home) accountWords() (all []cobra.Completion) {
	for _, a := range h.Accounts {
		if h.only(a.Server) {
			all = append(all, word(a.Server, cmp.Or(a.Name, a.Subject))...)
			continue
		}
		all = append(all, word(cmp.Or(a.BAPID, a.Subject), cmp.Or(a.Name, a.Subject)+" at "+a.Server)...)
	}
	return all
}

// serverWords are the servers at which somebody signed in.
func (h *home) serverWords() (all []cobra.Completion) {
	seen := map[string]bool{}
	for _, a := range append(h.Accounts, account{Server: defaultServer}) {
		if !seen[a.Server] {
			all = append(all, word(a.Server, "")...)
		}
		seen[a.Server] = true
	}
	return all
}

// fromStore has what the database knows that a command's flags name. No shell brings a
// database up to date: the program that serves it may be older.
func fromStore(cmd *cobra.Command, env *Env, known func(ctx context.Context, store contract.Store) error) (ok bool) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	cmd.SetContext(ctx)
	settings, err := storeSettings(cmd, env)
	return err == nil && upToDate(ctx, settings) && withStore(cmd, env, known) == nil
}

func clientWords(cmd *cobra.Command, env *Env) (all []cobra.Completion) {
	if !fromStore(cmd, env, func(ctx context.Context, store contract.Store) error {
		clients, err := store.Clients(ctx)
		for _, c := range clients {
			all = append(all, word(c.ID, c.Name)...)
		}
		return err
	}) {
		return nil
	}
	if strings.HasSuffix(cmd.CommandPath(), " show") {
		all = append(all, word(client.CLI().ID, client.CLI().Name)...)
	}
	return all
}

// keyWords are the signing keys that may be retired.
func keyWords(cmd *cobra.Command, env *Env) (all []cobra.Completion) {
	now := env.Now()
	_ = fromStore(cmd, env, func(ctx context.Context, store contract.Store) error {
		keys, err := store.SigningKeys(ctx, now)
		for _, k := range keys {
			all = append(all, word(k.ID, k.Algorithm+", "+keyState(k, now))...)
		}
		return err
	})
	return all
}

// grantWords are what may still be taken back, as far as a token says it that is good and
// that nobody has to unlock, and that is of whom the command acts as.
func grantWords(cmd *cobra.Command, env *Env) (all []cobra.Completion) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	h, err := openHome(env)
	if err != nil {
		return nil
	}
	server, err := chooseServer(env, h, cmd.Flag("server").Value.String())
	if err != nil {
		return nil
	}
	a, err := h.find(server)
	if err != nil || !a.seesGrants() {
		return nil
	}
	if as, err := h.acts(cmd.Flag("identity").Value.String(), server); err != nil || as != a.BAPID {
		return nil
	}
	tokens, err := tokensOf(ctx, env, h, passwordSource{}, a)
	if err != nil {
		return nil
	}
	if tokens.file != nil {
		tokens.file.silent = true
	}
	t, err := tokens.get(ctx, a.key())
	if err != nil || !t.good(env.Now(), "") {
		return nil
	}
	raw, err := (&owner{server: server}).sendBy(ctx, t, http.MethodGet, "/api/grants", nil)
	var answer grantsAnswer
	if err != nil || decodeInto(raw, &answer) != nil {
		return nil
	}
	for _, g := range answer.Grants {
		if anID.MatchString(g.ID) && g.RevokedAt == 0 && g.ExpiresAt > env.Now().Unix() {
			all = append(all, word(g.ID, g.ClientName+": "+g.Scope)...)
		}
	}
	return all
}
