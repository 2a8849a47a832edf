"""What miners do and what is wrong with them, judged the same way on site and in the cloud: one miner in `judgement`
(by its figures in `anomalies`), many in `summary`, what those that are wrong have in common in `causes`. Pure.
"""
