package cli

import (
	"fmt"
	"os"

	"countersign.dev/internal/config"
	"countersign.dev/internal/server/page"
)

// brand is how the operator wants the pages to look.
func brand(s *config.Settings) (page.Brand, error) {
	b := page.Brand{Name: s.Name, Accent: s.Accent}
	if s.Accent != "" {
		if err := page.CheckAccent(s.Accent); err != nil {
			return b, fmt.Errorf("accent-color %w", err)
		}
	}
	if s.Logo == "" {
		return b, nil
	}
	var err error
	if b.Logo, err = os.ReadFile(s.Logo); err != nil {
		return b, fmt.Errorf("logo: %w", err)
	}
	if b.LogoType, err = page.LogoType(b.Logo); err != nil {
		return b, fmt.Errorf("logo %w", err)
	}
	return b, nil
}
