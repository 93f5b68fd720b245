"""Watch: what every backend looks at while a run goes on: mass, finiteness, measurements."""
