from eil_decision.main import main

main()
