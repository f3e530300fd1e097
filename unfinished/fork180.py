"""runs/<variant>-33.npz (state after epoch 33 of the 60-epoch run) -> runs/<variant>-180-seed0/state.npz"""
import json, sys, numpy as np, pathlib

runs=pathlib.Path('runs')
for v in sys.argv[1:]:
    with np.load(runs/f'{v}-33.npz') as z: d={k:z[k] for k in z.files}
    about=json.loads(str(d.pop('about')))
    assert len(about['history'])==33 and all(r['learning_rate']>0.0999 for r in about['history']), len(about['history'])
    about['recipe']['epochs']=180
    out=runs/f'{v}-180-seed0'; out.mkdir(exist_ok=True)
    np.savez(open(out/'state.npz','wb'), about=np.array(json.dumps(about)), **d)
    print(v, about['recipe'])
