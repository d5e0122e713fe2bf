from eil_regime.main import main

main()
