from eil_nvp.main import main

main()
