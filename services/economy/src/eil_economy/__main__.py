from eil_economy.main import main

main()
