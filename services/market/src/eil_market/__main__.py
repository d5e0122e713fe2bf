from eil_market.main import main

main()
